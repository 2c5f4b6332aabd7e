/** The command line of the benchmark. */
import { parseArgs } from "node:util";
import { DIRECT } from "../contestants/direct.ts";
import { peersNamed } from "../peers/peers.ts";

export const USAGE = `npm run bench -- [options]
  (none)              the short set of scenarios: direct, nginx and Sluice in turns, within five minutes
  --full              all scenarios
  --bars              what Sluice promises to be: every figure with its bar; exit code 1 when one is missed
  --scenario NAME     this one only; may be repeated
  --list              names all scenarios
  --peers A,B         other gateways in the same run: haproxy,portkey,litellm,ferro,gomodel,bifrost
  --without A,B       leaves out nginx or sluice
  --limits            Sluice with ten limits beside Sluice, and what they cost
  --rounds N          how often every contestant has its turn (3)
  --seconds N         measured per turn (2)
  --workers N         of nginx, Sluice and peers (1)
  --unpinned          leaves it to the kernel which CPU runs what
  --out DIR           where results go (bench-results/TIME-COMMIT)
  --against DIR       compares with that former result; exit code 1 when something became worse
  --burden-us N       keeps Sluice's workers busy for N us at every request, to see that a run finds it
  --profile DIR       CPU profiles of all of Sluice's processes into DIR, and where the workers' time went
  --flame             a flame graph of Sluice under load, one HTML page
  --allocations       what a worker of Sluice allocates per request or event, and where
  --pauses            how long the turns of a worker's event loop are, which is how long it keeps others waiting
  --check-generator   compares the load generator with wrk at saturation`;

const spec = {
  help: { type: "boolean", default: false },
  full: { type: "boolean", default: false },
  bars: { type: "boolean", default: false },
  scenario: { type: "string", multiple: true, default: [] as string[] },
  list: { type: "boolean", default: false },
  peers: { type: "string", default: "" },
  without: { type: "string", default: "" },
  limits: { type: "boolean", default: false },
  rounds: { type: "string", default: "3" },
  seconds: { type: "string", default: "2" },
  workers: { type: "string", default: "1" },
  unpinned: { type: "boolean", default: false },
  out: { type: "string", default: "" },
  against: { type: "string", default: "" },
  "burden-us": { type: "string", default: "0" },
  profile: { type: "string", default: "" },
  flame: { type: "boolean", default: false },
  allocations: { type: "boolean", default: false },
  pauses: { type: "boolean", default: false },
  "check-generator": { type: "boolean", default: false },
} as const;

const ROUNDS_MAX = 100;
const SECONDS_MIN = 0.2;
const SECONDS_MAX = 300;
const WORKERS_MAX = 256;
const BURDEN_US_MAX = 1_000_000;
/** Connections are opened and caches filled in it. */
const WARM_UP_SECONDS_MAX = 0.6;

export interface Options {
  readonly task: "measure" | (typeof TASKS)[number];
  readonly full: boolean;
  readonly scenarios: readonly string[];
  readonly peers: readonly string[];
  readonly without: readonly string[];
  /** Sluice takes part twice: with limits, too. */
  readonly limits: boolean;
  readonly rounds: number;
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly workers: number;
  readonly isPinned: boolean;
  /** Empty: by time and commit. */
  readonly out: string;
  readonly against: string;
  readonly burdenUs: number;
  readonly profile: string;
}

/** Throws with what is wrong. */
export function parseOptions(argv: readonly string[]): Options {
  const { values, tokens } = parseArgs({ args: [...argv], options: spec, tokens: true });
  const given = NOT_WITH_BARS.filter((name) => tokens.some((token) => token.kind === "option" && token.name === name));
  if (values.bars && given.length > 0) throw new Error(`--bars and --${given.join(", --")} do not go together`);
  const seconds = inRange("seconds", values.seconds, SECONDS_MIN, SECONDS_MAX);
  const without = list(values.without);
  if (without.includes(DIRECT)) throw new Error("direct is always part of a run: latency is measured against it");
  return {
    task: taskOf(values),
    full: values.full,
    scenarios: values.scenario.flatMap(list),
    peers: peersNamed(values.peers).map(({ name }) => name),
    without,
    limits: values.limits,
    rounds: whole("rounds", values.rounds, 1, ROUNDS_MAX),
    seconds,
    warmUpSeconds: Math.min(WARM_UP_SECONDS_MAX, seconds / 2),
    workers: whole("workers", values.workers, 1, WORKERS_MAX),
    isPinned: !values.unpinned,
    out: values.out,
    against: values.against,
    burdenUs: whole("burden-us", values["burden-us"], 0, BURDEN_US_MAX),
    profile: values.profile,
  };
}

const TASKS = ["bars", "help", "list", "flame", "allocations", "pauses", "check-generator"] as const;
/** What a run for the bars decides itself. */
const NOT_WITH_BARS = ["full", "scenario", "workers", "against"] as const;

type Flags = Readonly<Record<(typeof TASKS)[number], boolean>>;

function taskOf(flags: Flags): Options["task"] {
  const tasks = TASKS.filter((task) => flags[task]);
  if (tasks.length > 1) throw new Error(`--${tasks.join(" and --")} do not go together`);
  return tasks[0] ?? "measure";
}

function list(text: string): string[] {
  return text
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
}

function inRange(name: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (text.trim() !== "" && value >= min && value <= max) return value;
  throw new Error(`--${name} takes a number from ${min} to ${max}, not ${text}`);
}

function whole(name: string, text: string, min: number, max: number): number {
  const value = inRange(name, text, min, max);
  if (Number.isInteger(value)) return value;
  throw new Error(`--${name} takes a whole number, not ${text}`);
}
