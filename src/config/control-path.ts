/** Where the running gateway takes orders of `sluice reload` and `sluice restart`. Supervisor and command line. */
import { join } from "node:path";

export function controlPath(dataDir: string): string {
  return join(dataDir, "control.sock");
}

/** What it answers to a question for its state. */
export interface ControlState {
  readonly pid: number;
  readonly version: string;
  /** Grows with every restart. */
  readonly generation: number;
  readonly epoch: number;
  readonly phase: "starting" | "running" | "stopping";
  /** Workers that serve, and those of earlier generations that finish. */
  readonly workers: number;
  readonly finishing: number;
  /** Why the last restart did not happen, after its trial; null: it did, or there was none. */
  readonly restartError: string | null;
}

/** What became of an order: null, or why it was not followed. */
export interface ControlOutcome {
  readonly refusal: string | null;
  readonly epoch: number;
}
