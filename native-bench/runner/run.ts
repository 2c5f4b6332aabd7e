/**
 * A whole run: contestants started, scenarios raced one after the other, everything ended. What must hold: it ends by itself within a
 * deadline, and leaves neither processes nor temporary files, however it ends.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { calibrate, noiseOf } from "./calibration.ts";
import { Field } from "./field.ts";
import { commit, machine } from "./machine.ts";
import { Mock } from "./mock.ts";
import type { Options } from "./options.ts";
import { onCpus, type Pinning, pinning } from "./pinning.ts";
import { Race } from "./race.ts";
import { RESULT_VERSION, type Result, type ScenarioResult } from "./result.ts";
import type { Scenario } from "./scenario.ts";
import type { Measured } from "./turn.ts";

/** Between the start and the look at memory at rest: pools have their threads, the first collections are over. */
const REST_MS_MAX = 2_000;
/** Beyond what a turn measures: its drain, the wait for records, the ends of processes. */
const TURN_GRACE_MS = 30_000;

export interface RunSite {
  readonly options: Options;
  readonly scenarios: readonly Scenario[];
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

export interface Outcome {
  readonly result: Result;
  readonly turns: readonly Measured[];
}

export async function run(site: RunSite): Promise<Outcome> {
  const directory = mkdtempSync(join(tmpdir(), "sluice-bench-"));
  const pins = pinning(site.options.isPinned, site.options.workers);
  const mock = new Mock(pins.mock);
  const secureMock = await mock.reserve(site.scenarios);
  const field = new Field({ directory, mock, secureMock, cpus: pins.contestant, signal: site.signal, say: site.say });
  try {
    return await new Running(site, { directory, pins, mock, field }).run();
  } finally {
    await field.stop();
    await mock.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

interface Parts {
  readonly directory: string;
  readonly pins: Pinning;
  readonly mock: Mock;
  readonly field: Field;
}

class Running {
  readonly #site: RunSite;
  readonly #parts: Parts;
  readonly #startedAt = new Date();
  readonly #samplesMs: number[] = [];
  readonly #turns: Measured[] = [];
  readonly #machine = machine();

  constructor(site: RunSite, parts: Parts) {
    this.#site = site;
    this.#parts = parts;
  }

  async run(): Promise<Outcome> {
    const { options, scenarios } = this.#site;
    const { mock, field } = this.#parts;
    await this.#calibrate();
    const [first] = scenarios;
    if (first === undefined) throw new Error("there is no scenario to run");
    await mock.restart(first);
    await field.start(options);
    await delay(Math.min(REST_MS_MAX, options.seconds * 1_000), undefined, { signal: this.#site.signal });
    const restPssBytes = field.pssBytes();
    const results: ScenarioResult[] = [];
    for (const scenario of scenarios) results.push(await this.#race(scenario, restPssBytes));
    return { result: this.#result(results), turns: this.#turns };
  }

  async #calibrate(): Promise<void> {
    this.#samplesMs.push(await onCpus(this.#parts.pins.contestant, async () => calibrate()));
  }

  async #race(scenario: Scenario, restPssBytes: Readonly<Record<string, number>>): Promise<ScenarioResult> {
    const { options, say, signal } = this.#site;
    const { directory, pins, mock, field } = this.#parts;
    const { contestants } = field;
    const deadlineMs = deadlineOf(options, contestants.length);
    say(`${scenario.name}: ${scenario.title}`);
    await mock.restart(scenario);
    const race = new Race(scenario, {
      directory,
      cpus: pins.load,
      signal: AbortSignal.any([signal, AbortSignal.timeout(deadlineMs)]),
      options,
      contestants,
      restPssBytes,
      say,
      calibrate: () => this.#calibrate(),
    });
    const { result, turns } = await race.run();
    this.#turns.push(...turns);
    return result;
  }

  #result(scenarios: ScenarioResult[]): Result {
    const { options } = this.#site;
    const { pins, field } = this.#parts;
    const { rounds, seconds, warmUpSeconds, workers, burdenUs } = options;
    return {
      version: RESULT_VERSION,
      startedAt: this.#startedAt.toISOString(),
      finishedAt: new Date().toISOString(),
      commit: commit(),
      machine: this.#machine,
      versions: field.versions(),
      parameters: { rounds, seconds, warmUpSeconds, workers, burdenUs, isProfiled: options.profile !== "" },
      pinning: pins,
      calibration: noiseOf(this.#samplesMs),
      missing: field.missing,
      scenarios,
    };
  }
}

/** For one scenario: far more than it takes, so that only what hangs is cut. */
function deadlineOf({ rounds, seconds, warmUpSeconds }: Options, contestants: number): number {
  const turnMs = (seconds + warmUpSeconds) * 1_000 + TURN_GRACE_MS;
  return contestants * (rounds + 1) * turnMs;
}
