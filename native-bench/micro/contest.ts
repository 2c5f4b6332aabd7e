/**
 * A contest of small functions: they take turns in short batches, so that a slow moment of the machine hits all of them, and
 * the median over the rounds counts. Prints nanoseconds per call, and how many times each is faster than the plain one.
 */
import type { Snapshot } from "../../src/config/snapshot.ts";
import type { Downstream } from "../../src/pipeline/exchange.ts";
import { median } from "../median.ts";

const SMOKE = process.argv.includes("--smoke");
const ROUNDS = SMOKE ? 5 : 60;
const BATCH_MS = SMOKE ? 1 : 5;
const TRIAL_CALLS = 50;
const NS_PER_MS = 1e6;

/** Takes what a call gives, so that the call is not optimized away. */
let sink: unknown;

function timeBatch(call: () => unknown, calls: number): number {
  const begin = performance.now();
  for (let i = 0; i < calls; i += 1) sink = call();
  return ((performance.now() - begin) * NS_PER_MS) / calls;
}

/** Calls that take about BATCH_MS, once the call is compiled. */
function callsPerBatch(call: () => unknown): number {
  timeBatch(call, TRIAL_CALLS);
  return Math.max(1, Math.round((BATCH_MS * NS_PER_MS) / timeBatch(call, TRIAL_CALLS)));
}

/** Runs the contestants and prints a table; `plain` is the name of the one that the others are compared to. */
export function compare(title: string, plain: string, contestants: Readonly<Record<string, () => unknown>>): void {
  const entries = Object.entries(contestants).map(([name, call]) => ({
    name,
    call,
    calls: callsPerBatch(call),
    rounds: [] as number[],
  }));
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const { call, calls, rounds } of entries) rounds.push(timeBatch(call, calls));
  }
  const plainNs = median(entries.find(({ name }) => name === plain)?.rounds ?? []);
  const rows = entries.map(({ name, rounds }) => [
    name,
    { "ns per call": Math.round(median(rounds)), faster: times(plainNs / median(rounds)) },
  ]);
  console.log(title);
  console.table(Object.fromEntries(rows));
  if (sink === rows) throw new Error("never");
}

function times(ratio: number): string {
  return `${ratio.toFixed(2)}x`;
}

/** A downstream for steps that do not write. */
export const PLAIN_DOWN: Downstream = {
  closed: false,
  blocked: false,
  address: () => new Uint8Array(0),
  reply: () => undefined,
  begin: () => undefined,
  write: () => undefined,
  end: () => undefined,
  cut: () => undefined,
};

/** A snapshot with keys of these hashes, and nothing else. */
export function snapshotWith(hashes: readonly string[]): Snapshot {
  const key = {
    name: "k",
    label: new Uint8Array(0),
    enabled: true,
    expiresAtMs: Number.POSITIVE_INFINITY,
    models: null,
  };
  const timeouts = {
    connectMs: 1,
    firstByteMs: 1,
    idleMs: 1,
    totalMs: 1,
    queueMs: 1,
    stallMs: 1,
    drainMs: 1,
    upstreamKeepAliveMs: 1,
  };
  const bounds = { bodyBytes: 1, bodyBytesInFlight: 1, jsonDepth: 1, connectionsPerProvider: 1, queuePerProvider: 1 };
  return {
    epoch: 1,
    keys: new Map(hashes.map((hash) => [hash, key])),
    routes: new Map(),
    anyModel: null,
    passthrough: null,
    prices: new Map(),
    timeouts,
    bounds,
    replayStale: true,
    loadedAtS: 0,
    recordAddress: false,
  };
}
