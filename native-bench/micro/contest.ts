/**
 * A contest of small functions: they take turns in short batches, so that a slow moment of the machine hits all of them, and
 * the median over the rounds counts. Measured is CPU time of the process: what else runs on the machine does not count, the
 * collector's threads do.
 *
 * `--smoke`: a short run that proves that the benchmark works, not how fast. `--json`: a JSON document per contest,
 * {"benchmark", "plain", "results": [{"name", "nsPerCall", "ratio"}]}; a ratio is how many times faster than `plain`.
 */
import { median } from "../median.ts";

export const SMOKE = process.argv.includes("--smoke");
const JSON_LINES = process.argv.includes("--json");
const ROUNDS = SMOKE ? 3 : 60;
/** Until functions are compiled. */
const WARM_UP_ROUNDS = SMOKE ? 1 : 10;
const BATCH_NS = SMOKE ? 0.2e6 : 5e6;
const GROWTH = 4;
const NS_PER_US = 1_000;

export interface Contestant {
  call(): unknown;
  /** Called before each batch, outside the clock. */
  before?(): void;
  /** Of one batch. */
  readonly callsMax?: number;
  /** What a call does so many of, such as records; the figures are for one of them. */
  readonly units?: number;
}

interface Entry {
  readonly name: string;
  readonly contestant: Contestant;
  calls: number;
  readonly rounds: number[];
}

/** Takes what a call gives, so that the call is not optimized away. */
let sink: unknown;

/** Nanoseconds that a batch of `calls` takes. */
function timeBatch({ call, before }: Contestant, calls: number): number {
  before?.();
  const begin = process.cpuUsage();
  for (let i = 0; i < calls; i += 1) sink = call();
  const { user, system } = process.cpuUsage(begin);
  return (user + system) * NS_PER_US;
}

/** Calls that take about BATCH_NS, or as many as a batch may have. */
function callsPerBatch(contestant: Contestant): number {
  const { callsMax = Number.POSITIVE_INFINITY } = contestant;
  let calls = 1;
  while (calls < callsMax && timeBatch(contestant, calls) < BATCH_NS / GROWTH)
    calls = Math.min(calls * GROWTH, callsMax);
  return calls;
}

function enter([name, given]: [string, Contestant | (() => unknown)]): Entry {
  const contestant = typeof given === "function" ? { call: given } : given;
  return { name, contestant, calls: 1, rounds: [] };
}

/** Runs the contestants and prints their figures; `plain` is the name of the one that the others are compared to. */
export function compare(
  benchmark: string,
  plain: string,
  contestants: Readonly<Record<string, Contestant | (() => unknown)>>,
): void {
  const entries = Object.entries(contestants).map(enter);
  for (let round = -WARM_UP_ROUNDS; round < ROUNDS; round += 1) {
    for (const entry of entries) playRound(entry, round);
  }
  if (sink === entries) throw new Error("never");
  report(benchmark, plain, entries);
}

/** Prints the figures of rounds that were played otherwise, in nanoseconds. */
export function report(
  benchmark: string,
  plain: string,
  entries: readonly { readonly name: string; readonly rounds: readonly number[] }[],
): void {
  const plainNs = median(entries.find(({ name }) => name === plain)?.rounds ?? []);
  const results = entries.map(({ name, rounds }) => {
    const nsPerCall = median(rounds);
    return { name, nsPerCall, ratio: plainNs / nsPerCall };
  });
  if (JSON_LINES) console.log(JSON.stringify({ benchmark, plain, results }));
  else print(benchmark, results);
}

/** Calls are counted at the end of the warm-up, when they take what they will take. */
function playRound(entry: Entry, round: number): void {
  const { contestant, rounds } = entry;
  if (round <= 0) entry.calls = callsPerBatch(contestant);
  const ns = timeBatch(contestant, entry.calls) / (entry.calls * (contestant.units ?? 1));
  if (round >= 0) rounds.push(ns);
}

function print(benchmark: string, results: readonly { name: string; nsPerCall: number; ratio: number }[]): void {
  console.log(benchmark);
  const rows = results.map(({ name, nsPerCall, ratio }) => [
    name,
    { ns: Number(nsPerCall.toPrecision(4)), faster: `${ratio.toFixed(2)}x` },
  ]);
  console.table(Object.fromEntries(rows));
}
