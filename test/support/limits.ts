/** Maps of limits for tests: in a directory of their own, with other processes that use them. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import type { LimitRule } from "../../src/base/limit-terms.ts";
import { LIMIT_AT, LIMIT_BUSY, type LimitsMap } from "../../src/shm/limits.ts";

const CHILD = fileURLToPath(new URL("./limits-child.ts", import.meta.url));

export const SECOND_MS = 1_000;
export const MINUTE_MS = 60_000;
export const DAY_MS = 86_400_000;
/** The time of processes that admit many requests: it stands, so that no rate gives anything back. */
export const HELD_TIME_MS = Date.UTC(2030, 0, 1);

/** A rate of 10 requests per second and key, but for `changes`. */
export function ruleOf(changes: Partial<LimitRule> = {}): LimitRule {
  const limit = changes.limit ?? 10;
  return {
    name: "rule",
    quantity: "requests",
    kind: "rate",
    scope: ["key"],
    keys: null,
    models: null,
    limit,
    burst: limit,
    periodMs: SECOND_MS,
    observes: false,
    admitsUnplaced: false,
    calendar: null,
    alertAt: [],
    ...changes,
  };
}

export function directoryOf(context: { after: TestContext["after"] }): string {
  const directory = mkdtempSync(join(tmpdir(), "sluice-limits-"));
  context.after(() => rmSync(directory, { recursive: true }));
  return directory;
}

export interface Amounts {
  readonly requests?: number;
  readonly input?: number;
  readonly output?: number;
  readonly bytes?: number;
}

/** Says that the next request is of the subject `key`. */
export function fill(
  map: LimitsMap,
  key: number,
  { requests = 1, input = 0, output = 0, bytes = 0 }: Amounts = {},
): void {
  const { fields } = map;
  const { amounts } = LIMIT_AT;
  fields.fill(-1);
  fields[LIMIT_AT.parts.key] = key;
  fields[amounts.requests] = requests;
  fields[amounts.concurrency] = requests;
  fields[amounts.input_tokens] = input;
  fields[amounts.output_tokens] = output;
  fields[amounts.tokens] = input + output;
  fields[amounts.bytes_in_flight] = bytes;
  fields[LIMIT_AT.assumed] = 0;
}

/** The decision about the request that was said. */
export function decide(map: LimitsMap): number {
  map.decide();
  return map.fields[LIMIT_AT.decision] ?? LIMIT_BUSY;
}

/** Asks for it; the decision. */
export function admit(map: LimitsMap, key: number, amounts: Amounts = {}): number {
  fill(map, key, amounts);
  return decide(map);
}

/** Of the last request; -1: it has none. */
export function ticketOf(map: LimitsMap): number {
  return map.fields[LIMIT_AT.ticket] ?? -1;
}

/** Another process with the map open (limits-child.ts), which has said that it is ready. */
export class LimitsChild {
  readonly #child: ChildProcess;
  #text = "";

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.#text += text;
    });
  }

  /** Killed when the test is over, if it has not ended. */
  static async start(
    context: { after: TestContext["after"] },
    dataDir: string,
    slot: number,
    rules: readonly LimitRule[],
    what: string,
  ): Promise<LimitsChild> {
    const flags = ["--disable-warning=ExperimentalWarning"];
    const args = [...flags, CHILD, dataDir, String(slot), JSON.stringify(rules), what];
    const child = new LimitsChild(spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] }));
    context.after(() => child.#child.kill("SIGKILL"));
    await Promise.race([child.#isReady(), child.#ends(slot)]);
    return child;
  }

  async #isReady(): Promise<void> {
    while (!this.#text.includes("ready\n")) await once(this.#child.stdout ?? this.#child, "data");
  }

  async #ends(slot: number): Promise<void> {
    await once(this.#child, "exit");
    if (!this.#text.includes("ready\n")) throw new Error(`the process of slot ${slot} ended before it was ready`);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Has it go on; what it printed in the end. */
  async finish(): Promise<string> {
    const end = once(this.#child, "close");
    this.#child.stdin?.end("go\n");
    await end;
    return this.#text.replace("ready\n", "").trim();
  }

  async kill(): Promise<void> {
    const end = once(this.#child, "close");
    this.#child.kill("SIGKILL");
    await end;
  }
}
