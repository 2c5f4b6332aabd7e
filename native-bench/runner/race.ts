/**
 * One scenario, raced: a look at every contestant, then rounds in which each has its turn. The order turns round from round to round, so
 * that what changes with time hits all alike. What must hold: a contestant that fails is named with the reason, and the others go on.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Contestant } from "../contestant.ts";
import type { LoadRequest, LoadSite, LoadSpec } from "./load.ts";
import { chooseTracer, look } from "./look.ts";
import type { Options } from "./options.ts";
import { ask, expectationOf } from "./probe.ts";
import { bodyOf, writeRequests } from "./request-file.ts";
import type { Look, ScenarioResult } from "./result.ts";
import type { Scenario } from "./scenario.ts";
import { figuresOf, generatorOverNginx, refusal } from "./summary.ts";
import { type Measured, measure } from "./turn.ts";

const DRAIN_MS = 10_000;
const TIMEOUT_MS = 10_000;
/** An interval of the log: several per turn, so that a log shows how a turn went. */
const INTERVAL_MS = 500;

export interface RaceSite extends LoadSite {
  readonly options: Options;
  readonly contestants: readonly Contestant[];
  readonly restPssBytes: Readonly<Record<string, number>>;
  readonly say: (line: string) => void;
  /** Between rounds. */
  readonly calibrate: () => Promise<void>;
}

export interface Raced {
  readonly result: ScenarioResult;
  readonly turns: readonly Measured[];
}

export class Race {
  readonly #scenario: Scenario;
  readonly #site: RaceSite;
  readonly #turns: Measured[] = [];
  readonly #looks: Look[] = [];
  readonly #failed: Record<string, string> = {};
  readonly #specs = new Map<Contestant, LoadSpec>();

  constructor(scenario: Scenario, site: RaceSite) {
    this.#scenario = scenario;
    this.#site = site;
  }

  async run(): Promise<Raced> {
    const { contestants, options, calibrate } = this.#site;
    for (const contestant of contestants) await this.#attempt(contestant, () => this.#prepare(contestant));
    for (let round = 0; round < options.rounds; round += 1) {
      const order = round % 2 === 0 ? contestants : contestants.toReversed();
      for (const contestant of order) await this.#attempt(contestant, () => this.#turn(contestant, round));
      await calibrate();
    }
    return { result: this.#result(), turns: this.#turns };
  }

  /** Not for one that has failed in this scenario; not once the run is over. */
  async #attempt({ name }: Contestant, work: () => Promise<void>): Promise<void> {
    if (name in this.#failed) return;
    try {
      await work();
    } catch (error) {
      this.#site.signal.throwIfAborted();
      this.#failed[name] = error instanceof Error ? error.message : String(error);
      this.#site.say(`${this.#scenario.name}: ${name} FAILED: ${this.#failed[name]}`);
    }
  }

  /** The look is the warm-up too. */
  async #prepare(contestant: Contestant): Promise<void> {
    const spec = await this.#specFor(contestant);
    this.#specs.set(contestant, spec);
    this.#looks.push(await look({ contestant, spec, site: this.#site, tracer: chooseTracer() }));
  }

  async #turn(contestant: Contestant, round: number): Promise<void> {
    const spec = this.#specs.get(contestant);
    if (spec === undefined) throw new Error("it was not prepared");
    const measured = await measure({ contestant, scenario: this.#scenario.name, round, spec, site: this.#site });
    this.#turns.push(measured);
    const { load, cpuUsPerRequest, voided } = measured.turn;
    const figures = `${Math.round(load.requestsPerSecond)} requests/s, ${cpuUsPerRequest?.toFixed(1)} us of CPU each`;
    const wrong = load.requests - load.right - load.aborted;
    const note = voided === null ? "" : `, VOID: ${voided}`;
    this.#site.say(`${this.#scenario.name}: round ${round + 1}: ${contestant.name}: ${figures}, ${wrong} wrong${note}`);
  }

  async #specFor(contestant: Contestant): Promise<LoadSpec> {
    const { mode, requestsPerConnection, abort = null, idleConnections } = this.#scenario;
    const { warmUpSeconds, seconds } = this.#site.options;
    return {
      target: { host: "127.0.0.1", port: contestant.endpoint.port },
      requests: await this.#requestsFor(contestant),
      mode,
      warmUpMs: warmUpSeconds * 1_000,
      durationMs: seconds * 1_000,
      drainMs: DRAIN_MS,
      timeoutMs: TIMEOUT_MS,
      intervalMs: INTERVAL_MS,
      requestsPerConnection,
      abort,
      idleConnections,
      threads: 1,
    };
  }

  /** Each with what the mock answers to it, and this contestant. */
  async #requestsFor(contestant: Contestant): Promise<LoadRequest[]> {
    const { endpoint, name } = contestant;
    const direct = this.#site.contestants[0]?.endpoint ?? endpoint;
    const directory = join(this.#site.directory, name, this.#scenario.name);
    mkdirSync(directory, { recursive: true });
    const files = writeRequests(directory, endpoint.model, this.#scenario.requests);
    const headers = [["content-type", "application/json"], ...endpoint.headers] as const;
    const requests: LoadRequest[] = [];
    for (const { kind, path, body } of files) {
      const reference = await ask(direct, bodyOf(direct.model, kind), this.#site.signal);
      const expect = await expectationOf(endpoint, body, reference, this.#site.signal);
      requests.push({ weight: kind.weight, method: "POST", path: endpoint.path, headers, bodyFile: path, expect });
    }
    return requests;
  }

  #result(): ScenarioResult {
    const turns = this.#turns.map(({ turn }) => turn);
    const { name, ...definition } = this.#scenario;
    const figures = figuresOf({ turns, looks: this.#looks, restPssBytes: this.#site.restPssBytes });
    const share = generatorOverNginx(turns);
    const reason = refusal(share);
    const common = { name, definition, turns, looks: this.#looks, failed: this.#failed, generatorOverNginx: share };
    return reason === null
      ? { ...common, figures, refused: null }
      : { ...common, figures: [], refused: { reason, figures } };
  }
}
