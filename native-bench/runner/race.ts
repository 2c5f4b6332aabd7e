/**
 * One scenario, raced: a look at every contestant, then rounds in which each has its turn. The order turns round from round to round, so
 * that what changes with time hits all alike. What must hold: a contestant that fails is named with the reason, and the others go on.
 */
import type { Contestant } from "../contestant.ts";
import type { LoadSite, LoadSpec } from "./load.ts";
import { chooseTracer, look } from "./look.ts";
import type { Options } from "./options.ts";
import type { Look, ScenarioResult } from "./result.ts";
import { requestMsOf, type Scenario } from "./scenario.ts";
import { endpointIn, specificationOf } from "./specification.ts";
import { scenarioResult } from "./summary.ts";
import { type Measured, measure } from "./turn.ts";

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
  readonly #tracer = chooseTracer();

  constructor(scenario: Scenario, site: RaceSite) {
    this.#scenario = scenario;
    this.#site = site;
  }

  async run(): Promise<Raced> {
    const { options, calibrate } = this.#site;
    const contestants = this.#contestants();
    for (const contestant of contestants) await this.#attempt(contestant, () => this.#prepare(contestant));
    for (let round = 0; round < options.rounds; round += 1) {
      const order = round % 2 === 0 ? contestants : contestants.toReversed();
      for (const contestant of order) await this.#attempt(contestant, () => this.#turn(contestant, round));
      await calibrate();
    }
    return { result: this.#result(), turns: this.#turns };
  }

  #contestants(): Contestant[] {
    const { contestants, say } = this.#site;
    const able = contestants.filter((contestant) => endpointIn(this.#scenario, contestant) !== null);
    const others = contestants.filter((contestant) => !able.includes(contestant));
    for (const { name } of others) say(`${this.#scenario.name}: ${name} is not set up for providers with TLS`);
    return able;
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
    const { contestants, options, ...site } = this.#site;
    const direct = contestants[0]?.endpoint ?? contestant.endpoint;
    const { warmUpSeconds, seconds } = options;
    const spec = await specificationOf(this.#scenario, contestant, { ...site, direct, warmUpSeconds, seconds });
    this.#specs.set(contestant, spec);
    const requestMs = requestMsOf(this.#scenario);
    this.#looks.push(await look({ contestant, spec, site: this.#site, tracer: this.#tracer, requestMs }));
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

  #result(): ScenarioResult {
    const turns = this.#turns.map(({ turn }) => turn);
    const { restPssBytes } = this.#site;
    return scenarioResult(this.#scenario, { turns, looks: this.#looks, restPssBytes, failed: this.#failed });
  }
}
