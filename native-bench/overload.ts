/**
 * What is left of a worker's goodput when more comes than it can serve? First as much as it can serve, to clients that wait for their
 * answers; then arrivals at a multiple of that rate, whatever the answers do, with load shedding and without. Goodput: right answers a
 * second that were there within a second of the moment at which their request was due. One worker; loopback only; ends what it started.
 *
 *   node native-bench/overload.ts [--seconds 8] [--times 3] [--kinds 4] [--work-us 0]
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { hdrIndexOf } from "../src/base/hdr-geometry.ts";
import { Direct } from "./contestants/direct.ts";
import { Sluice } from "./contestants/sluice.ts";
import { type LoadReport, runLoad } from "./runner/load.ts";
import { Mock } from "./runner/mock.ts";
import { onCpus, pinning } from "./runner/pinning.ts";
import { parseScenario, type Scenario } from "./runner/scenario.ts";
import { sluiceRuntime } from "./runner/sluice-runtime.ts";
import { specificationOf } from "./runner/specification.ts";
import { textTable } from "./runner/text-table.ts";

const BOUND_NS = 1e9;
const CONNECTIONS = 512;
const CONNECTIONS_MAX = 12_000;
/** Until code is compiled, a queue has built up, and clients that waited for a connection have been answered. */
const WARM_UP_SECONDS = 6;
const STEPS = 8;
const STEP = 1.25;

interface Kind {
  readonly title: string;
  readonly form: object;
  /** What the worker has to do at each request besides: so the load and the mock, which share a CPU, are not what is measured. */
  readonly burdenUs: number;
}

const KINDS: readonly Kind[] = [
  { title: "500 us of work each, as a stream of 30 events", form: { mock: { latencyMs: 20 } }, burdenUs: 500 },
  { title: "small answers", form: { mock: { latencyMs: 20 } }, burdenUs: 0 },
  {
    title: "streams of 20 events, 5 ms apart",
    form: { mock: { latencyMs: 20, chunks: 20, chunkDelayMs: 5 }, requests: [{ stream: true }] },
    burdenUs: 0,
  },
  {
    title: "streams of 50 events, 10 ms apart",
    form: { mock: { latencyMs: 20, chunks: 50, chunkDelayMs: 10 }, requests: [{ stream: true }] },
    burdenUs: 0,
  },
];

type Load = (scenario: Scenario) => Promise<LoadReport>;

interface Settings {
  readonly kinds: number;
  /** Of the worker at each request, besides what its kind says. */
  readonly workUs: number;
  readonly seconds: number;
  readonly times: number;
}

function settings(): Settings {
  const text = { type: "string" } as const;
  const { values } = parseArgs({ options: { seconds: text, times: text, kinds: text, "work-us": text } });
  const [seconds, times] = [Number(values.seconds ?? "8"), Number(values.times ?? "3")];
  const kinds = Number(values.kinds ?? KINDS.length);
  const workUs = Number(values["work-us"] ?? "0");
  if (!(seconds >= 1 && times > 0 && workUs >= 0))
    throw new Error("--seconds takes at least 1, --times a number above 0, --work-us one from 0 on");
  return { seconds, times, kinds, workUs };
}

/** Per second. */
function goodputOf({ summary, intervals }: LoadReport): number {
  const last = hdrIndexOf(BOUND_NS);
  const within = intervals
    .filter(({ metric }) => metric === "total")
    .flatMap(({ counts }) => counts)
    .reduce((sum, [index, count]) => (index <= last ? sum + count : sum), 0);
  return within / summary.seconds;
}

class Overload {
  readonly #settings: Settings;
  readonly #signal: AbortSignal;
  readonly #pins = pinning(true, 1);
  readonly #directory = mkdtempSync(join(tmpdir(), "sluice-overload-"));
  readonly #mock = new Mock(this.#pins.mock);

  constructor(chosen: Settings, signal: AbortSignal) {
    this.#settings = chosen;
    this.#signal = signal;
  }

  async run(): Promise<void> {
    try {
      const rows: string[][] = [];
      for (const kind of KINDS.slice(0, this.#settings.kinds)) rows.push(...(await this.#compare(kind)));
      const head = ["", "load_shedding", "most, /s", "offered, /s", "within 1 s, /s", "kept", "p99 of answers"];
      process.stdout.write(`${textTable(head, rows, 2)}\n`);
    } finally {
      await this.#mock.stop();
      rmSync(this.#directory, { recursive: true, force: true });
    }
  }

  async #compare({ title, form, burdenUs: ownUs }: Kind): Promise<string[][]> {
    const burdenUs = ownUs + this.#settings.workUs;
    const scenario = (mode: object) => parseScenario("overload", JSON.stringify({ title, ...form, mode }));
    const open = (ratePerSecond: number) => scenario({ kind: "open", ratePerSecond, connectionsMax: CONNECTIONS_MAX });
    await this.#mock.restart(open(1));
    const [most, shed] = await this.#with(burdenUs, {}, async (load) => this.#search(load, scenario, open));
    const offered = this.#rateOver(most);
    const unshed = await this.#with(burdenUs, { load_shedding: "off" }, (load) => load(open(offered)));
    const row = (name: string, report: LoadReport) => {
      const good = goodputOf(report);
      const kept = `${((100 * good) / most).toFixed(0)} %`;
      return [title, name, most.toFixed(0), offered.toFixed(0), good.toFixed(0), kept, p99Text(report)];
    };
    return [row("50ms", shed), row("off", unshed)];
  }

  #rateOver(most: number): number {
    return Math.max(1, Math.round(most * this.#settings.times));
  }

  /**
   * The most that was found, in steps until more arrivals bring no more, and what there is at a multiple of it. Clients that wait are no
   * measure: they are too few for the time that answers take, and work that comes in bulk is cheaper.
   */
  async #search(
    load: Load,
    scenario: (mode: object) => Scenario,
    open: (ratePerSecond: number) => Scenario,
  ): Promise<readonly [most: number, report: LoadReport]> {
    let most = goodputOf(await load(scenario({ kind: "closed", connections: CONNECTIONS })));
    for (let left = STEPS; left > 0; left -= 1) {
      const good = goodputOf(await load(open(Math.round(most * STEP))));
      const isMore = good > most;
      most = Math.max(most, good);
      if (!isMore) break;
    }
    return [most, await load(open(this.#rateOver(most)))];
  }

  async #with<T>(burdenUs: number, more: object, work: (load: Load) => Promise<T>): Promise<T> {
    const sluice = new Sluice(sluiceRuntime({ burdenUs, profile: "" }), undefined, more);
    const directory = mkdtempSync(join(this.#directory, "sluice-"));
    try {
      const setting = { directory, mockPort: this.#mock.port, workers: 1 };
      await onCpus(this.#pins.contestant, () => sluice.start(setting));
      return await work((scenario) => this.#load(scenario, sluice, directory));
    } finally {
      await sluice.stop();
    }
  }

  async #load(scenario: Scenario, sluice: Sluice, directory: string): Promise<LoadReport> {
    const { seconds } = this.#settings;
    const direct = new Direct(this.#mock).endpoint;
    const site = { directory, cpus: this.#pins.load, signal: this.#signal };
    const spec = await specificationOf(scenario, sluice, { ...site, direct, warmUpSeconds: WARM_UP_SECONDS, seconds });
    return runLoad(spec, site);
  }
}

/** Of those that were right, however late. */
function p99Text({ intervals }: LoadReport): string {
  const counts = new Map<number, number>();
  for (const interval of intervals.filter(({ metric }) => metric === "total"))
    for (const [index, count] of interval.counts) counts.set(index, (counts.get(index) ?? 0) + count);
  const sorted = [...counts].toSorted(([a], [b]) => a - b);
  let left = 0.99 * sorted.reduce((sum, [, count]) => sum + count, 0);
  const found = sorted.find(([, count]) => {
    left -= count;
    return left <= 0;
  });
  return found === undefined ? "none" : `${nsOf(found[0], 1e6).toFixed(0)} ms`;
}

/** The lowest value of a count, in units of so many nanoseconds. */
function nsOf(index: number, unit: number): number {
  const octave = Math.max(0, Math.floor(index / 1_024) - 1);
  return ((index - octave * 1_024) * 2 ** octave) / unit;
}

const controller = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => controller.abort(new Error(name)));
try {
  await new Overload(settings(), controller.signal).run();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
