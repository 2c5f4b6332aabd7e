/** The mock providers of the comparison, one process per latency: also a contestant, as the cost of no gateway at all. */
import { fileURLToPath } from "node:url";
import { Child } from "./child.ts";
import { type Contestant, SCENARIOS, type Scenario } from "./scenario.ts";

const PROGRAM = fileURLToPath(new URL("../upstream/mock-provider.ts", import.meta.url));

export class Mocks implements Contestant {
  readonly name = "direct";
  private readonly children = new Map<Scenario, Child>();
  private readonly ports = new Map<Scenario, number>();

  async start(): Promise<void> {
    for (const scenario of SCENARIOS) {
      const child = new Child(process.execPath, [PROGRAM, "--latency-ms", `${scenario.latencyMs}`]);
      this.children.set(scenario, child);
      const listening: { port: number } = JSON.parse(await child.firstLine());
      this.ports.set(scenario, listening.port);
    }
  }

  port(scenario: Scenario): number {
    return this.ports.get(scenario) ?? 0;
  }

  pids(scenario: Scenario): number[] {
    const child = this.children.get(scenario);
    return child === undefined ? [] : [child.pid];
  }

  url(scenario: Scenario): string {
    return `http://127.0.0.1:${this.port(scenario)}/v1/chat/completions`;
  }

  async begin(): Promise<void> {}

  async settle(): Promise<void> {}

  async stop(): Promise<void> {
    for (const child of this.children.values()) await child.end("SIGTERM");
  }
}
