/**
 * Does Sluice's memory grow? Full load for ten minutes, a look at all processes every few seconds, a line per minute, and the slope after
 * the first one. Loopback only; ends what it started. Exit code 1: it grew, or a request was not answered as it should be.
 *
 *   node native-bench/endurance.ts [--seconds 600] [--workers 2] [--connections 1000] [--latency-ms 60]
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import type { Endpoint } from "./contestant.ts";
import { Direct } from "./contestants/direct.ts";
import { Sluice } from "./contestants/sluice.ts";
import { type LoadReport, runLoad } from "./runner/load.ts";
import { Mock } from "./runner/mock.ts";
import { onCpus, pinning } from "./runner/pinning.ts";
import { withDescendants } from "./runner/processes.ts";
import { parseScenario, type Scenario } from "./runner/scenario.ts";
import { specificationOf } from "./runner/specification.ts";
import { textTable } from "./runner/text-table.ts";

const LOOK_MS = 5_000;
const MINUTE_MS = 60_000;
const SECONDS_MIN = 2;
const SECONDS_MAX = 86_400;
/** Caches fill and the heap finds its size in the first part of a run: this share of it, and a minute at most. */
const SETTLING_SHARE = 0.25;
/**
 * Of anonymous memory, over the rest of the run. The old generation of each heap goes up and down by 10 MB, and its collections fall
 * differently into looks. PSS is not judged: it changes when other programs of the same runtime come and go.
 */
const GROWTH_SHARE_MAX = 0.05;
const MB = 1_048_576;
const KB = 1_024;

interface Settings {
  readonly seconds: number;
  readonly workers: number;
  readonly connections: number;
  readonly latencyMs: number;
}

interface Memory {
  readonly pss: number;
  /** Of it: belongs to this process alone whatever else runs on the machine. Program text does not. */
  readonly anonymous: number;
}

interface Look {
  readonly atMs: number;
  /** The supervisor, then its workers. */
  readonly processes: readonly Memory[];
}

function settings(): Settings {
  const text = { type: "string" } as const;
  const options = { seconds: text, workers: text, connections: text, "latency-ms": text };
  const { values } = parseArgs({ options });
  return {
    seconds: inRange("seconds", values.seconds ?? "600", SECONDS_MIN, SECONDS_MAX),
    workers: inRange("workers", values.workers ?? "2", 1, 128),
    connections: inRange("connections", values.connections ?? "1000", 1, 20_000),
    latencyMs: inRange("latency-ms", values["latency-ms"] ?? "60", 0, 60_000),
  };
}

function inRange(name: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new Error(`--${name} takes a whole number from ${min} to ${max}, not ${text}`);
}

function memoryOf(pid: number): Memory {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const kb = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)?.[1] ?? 0);
  return { pss: kb("Pss") * KB, anonymous: kb("Pss_Anon") * KB };
}

function lookAt(sluice: Sluice, atMs: number): Look {
  return { atMs, processes: withDescendants(sluice.pids()).map(memoryOf) };
}

function totalOf({ processes }: Look, what: keyof Memory): number {
  return processes.reduce((sum, memory) => sum + memory[what], 0);
}

function mb(bytes: number): string {
  return (bytes / MB).toFixed(1);
}

function lineOf(look: Look): string[] {
  const each = look.processes.map(({ pss, anonymous }) => `${mb(pss)} (${mb(anonymous)})`);
  return [`${Math.round(look.atMs / 1_000)} s`, mb(totalOf(look, "pss")), mb(totalOf(look, "anonymous")), ...each];
}

/** The line through the looks (least squares): bytes per millisecond. */
function slopeOf(looks: readonly Look[], what: keyof Memory): number {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const times = looks.map(({ atMs }) => atMs);
  const sizes = looks.map((look) => totalOf(look, what));
  const [time, size] = [mean(times), mean(sizes)];
  const above = times.reduce((sum, at, i) => sum + (at - time) * ((sizes[i] ?? 0) - size), 0);
  const below = times.reduce((sum, at) => sum + (at - time) ** 2, 0);
  return below === 0 ? 0 : above / below;
}

function scenarioOf({ connections, latencyMs }: Settings): Scenario {
  const mode = { kind: "closed", connections };
  return parseScenario("endurance", JSON.stringify({ title: "endurance", mock: { latencyMs }, mode }));
}

class Endurance {
  readonly #settings: Settings;
  readonly #directory = mkdtempSync(join(tmpdir(), "sluice-endurance-"));
  readonly #pins;
  readonly #mock: Mock;
  readonly #sluice = new Sluice();
  readonly #signal: AbortSignal;
  readonly #looks: Look[] = [];

  constructor(chosen: Settings, signal: AbortSignal) {
    this.#settings = chosen;
    this.#signal = signal;
    this.#pins = pinning(true, chosen.workers);
    this.#mock = new Mock(this.#pins.mock);
  }

  /** Whether all went well. */
  async run(): Promise<boolean> {
    try {
      const scenario = scenarioOf(this.#settings);
      await this.#mock.restart(scenario);
      const { workers } = this.#settings;
      const setting = { directory: this.#directory, mockPort: this.#mock.port, workers };
      await onCpus(this.#pins.contestant, () => this.#sluice.start(setting));
      process.stdout.write(`PSS, MB (of it anonymous)\n${lineOf(lookAt(this.#sluice, 0)).join("  ")}  at rest\n`);
      return this.#judge(await this.#load(scenario, new Direct(this.#mock).endpoint));
    } finally {
      await this.#sluice.stop();
      await this.#mock.stop();
      rmSync(this.#directory, { recursive: true, force: true });
    }
  }

  async #load(scenario: Scenario, direct: Endpoint): Promise<LoadReport> {
    const site = { directory: this.#directory, cpus: this.#pins.load, signal: this.#signal };
    const { seconds } = this.#settings;
    const warmUpSeconds = Math.min(1, seconds / 2);
    const spec = await specificationOf(scenario, this.#sluice, { ...site, direct, warmUpSeconds, seconds });
    const begin = performance.now();
    const timer = setInterval(() => this.#look(performance.now() - begin), Math.min(LOOK_MS, seconds * 100));
    try {
      return await runLoad(spec, site);
    } finally {
      clearInterval(timer);
    }
  }

  #look(atMs: number): void {
    const last = this.#looks.at(-1);
    const look = lookAt(this.#sluice, atMs);
    this.#looks.push(look);
    const minute = (at: number) => Math.floor(at / MINUTE_MS);
    if (last === undefined || minute(last.atMs) !== minute(atMs)) process.stdout.write(`${lineOf(look).join("  ")}\n`);
  }

  #judge({ summary }: LoadReport): boolean {
    const settledMs = Math.min(MINUTE_MS, this.#settings.seconds * 1_000 * SETTLING_SHARE);
    const looks = this.#looks.filter(({ atMs }) => atMs >= settledMs);
    const [first, last] = [looks[0], looks.at(-1)];
    if (first === undefined || last === undefined) throw new Error("the run was too short to look at memory");
    const grownOf = (what: keyof Memory) => slopeOf(looks, what) * (last.atMs - first.atMs);
    const grown = grownOf("anonymous");
    const isGrowing = grown > GROWTH_SHARE_MAX * totalOf(first, "anonymous");
    const wrong = Object.values(summary.wrong).reduce((sum, count) => sum + count, 0);
    const most = Math.max(...this.#looks.map((look) => totalOf(look, "pss")));
    const rows = [
      ["requests", `${summary.requests}, ${summary.requestsPerSecond.toFixed(0)} per second, ${wrong} wrong`],
      ["most", `${mb(most)} MB`],
      ["growth after settling", `${mb(grownOf("pss"))} MB, anonymous ${mb(grown)} MB`],
      ["verdict", isGrowing ? "it GROWS" : "it does not grow"],
    ];
    process.stdout.write(`\n${textTable(["endurance", ""], rows, 2)}\n`);
    return !isGrowing && wrong === 0;
  }
}

const controller = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => controller.abort(new Error(name)));
try {
  if (!(await new Endurance(settings(), controller.signal).run())) process.exitCode = 1;
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
