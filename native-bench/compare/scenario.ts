/** The loads that the comparison drives. Closed loops: they find out what a request costs, not how long it waits. */

export interface Scenario {
  readonly name: string;
  readonly connections: number;
  /** Of the mock provider. */
  readonly latencyMs: number;
  /** In the request body; Sluice chooses the provider by it. */
  readonly model: string;
}

export const SCENARIOS: readonly Scenario[] = [
  { name: "64 connections, saturated", connections: 64, latencyMs: 0, model: "gpt-4o" },
  { name: "1,000 connections, 60 ms upstream", connections: 1_000, latencyMs: 60, model: "gpt-4o-60ms" },
];

/** Something that answers chat completions over HTTP and whose processes are measured. */
export interface Contestant {
  readonly name: string;
  /** The program started; its children count as well. */
  pids(scenario: Scenario): readonly number[];
  url(scenario: Scenario): string;
  /** Called before a load, and after it with what wrk completed: waits for work that is still to be done for it. */
  begin(): Promise<void>;
  settle(requests: number, scenario: Scenario): Promise<void>;
}
