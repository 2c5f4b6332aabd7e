/**
 * Latency histograms in shared memory against a plain model: random records of several workers, read and written off at
 * any time, over workers that die and counts that wrap.
 */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { closeSync, fstatSync } from "node:fs";
import { test } from "node:test";
import { HDR_COUNTS, hdrIndexOf } from "../../src/base/hdr-geometry.ts";
import { native } from "../../src/native/native.ts";
import {
  BLOCK_BYTES,
  blockAt,
  createHistograms,
  HEADS_BYTES,
  HISTOGRAMS,
  METRIC,
  METRICS,
  openHistograms,
} from "../../src/shm/histogram-map.ts";
import { HistogramsGauge, HistogramsReader } from "../../src/shm/histogram-reader.ts";
import { Random } from "../fuzz/random.ts";

/** Index and count of what is not 0. */
function sparse(counts: Float64Array | null | undefined): [number, number][] {
  const found: [number, number][] = [];
  counts?.forEach((count, i) => {
    if (count !== 0) found.push([i, count]);
  });
  return found;
}

function memory(context: { after(done: () => void): void }): number {
  const descriptor = createHistograms();
  context.after(() => closeSync(descriptor));
  return descriptor;
}

function kilobytesOf(descriptor: number): number {
  return fstatSync(descriptor).blocks / 2;
}

/** What a reader must find, counted in the plainest way. */
class Model {
  readonly #counts = new Map<number, Map<number, number>>();

  record(histogram: number, ns: number): void {
    const counts = this.#counts.get(histogram) ?? new Map<number, number>();
    this.#counts.set(histogram, counts);
    const index = hdrIndexOf(ns);
    counts.set(index, (counts.get(index) ?? 0) + 1);
  }

  add(histogram: number, counts: Float64Array): void {
    const own = this.#counts.get(histogram) ?? new Map<number, number>();
    this.#counts.set(histogram, own);
    for (const [index, count] of sparse(counts)) own.set(index, (own.get(index) ?? 0) + count);
  }

  counts(histogram: number): [number, number][] {
    return [...(this.#counts.get(histogram) ?? [])].sort(([a], [b]) => a - b);
  }
}

function assertSame(actual: (histogram: number) => [number, number][], expected: Model): void {
  for (let histogram = 0; histogram < HISTOGRAMS; histogram += 1) {
    deepStrictEqual(actual(histogram), expected.counts(histogram), `histogram ${histogram}`);
  }
}

/** Reads, and perhaps writes off, everything that is not written; `fails`: the disk refuses some. */
function rotate(descriptor: number, random: Random, written: Model, fails: boolean): void {
  // A new reader each time: what it needs to know is in the memory file.
  const reader = new HistogramsReader(descriptor).look();
  for (let histogram = 0; histogram < HISTOGRAMS; histogram += 1) {
    const interval = reader.unwritten(histogram);
    if (interval === null || (fails && random.chance(0.5))) continue;
    reader.commit(interval);
    written.add(histogram, interval.counts);
  }
}

for (const seed of [1, 2, 3]) {
  test(`no record is lost or counted twice, whoever writes and whenever it is read (seed ${seed})`, (context) => {
    const descriptor = memory(context);
    const random = new Random(seed);
    const [all, written] = [new Model(), new Model()];
    const workers = [0, 1, 5].map((slot) => ({ slot, writer: openHistograms(descriptor, slot) }));
    for (let step = 0; step < 2_000; step += 1) {
      const worker = random.pick(workers);
      const [series, metric] = [random.below(4), random.below(METRICS.length)];
      const ms = Math.exp(random.unit() * 28) / 1e6;
      worker.writer.record(series, metric, ms);
      all.record(series * METRICS.length + metric, ms * 1e6);
      // The worker was killed, and another one goes on in its slot.
      if (random.chance(0.01)) worker.writer = openHistograms(descriptor, worker.slot);
      if (random.chance(0.005)) rotate(descriptor, random, written, random.chance(0.3));
    }
    const before = new HistogramsReader(descriptor).look();
    assertSame((histogram) => sparse(before.total(histogram)), all);
    rotate(descriptor, random, written, false);
    assertSame((histogram) => written.counts(histogram), all);
    const reader = new HistogramsReader(descriptor).look();
    assertSame((histogram) => sparse(reader.total(histogram)), all);
    for (let histogram = 0; histogram < HISTOGRAMS; histogram += 1) strictEqual(reader.unwritten(histogram), null);
  });
}

test("a count that wraps goes on, in what is new and in what was since the start", (context) => {
  const descriptor = memory(context);
  const writer = openHistograms(descriptor, 0);
  const words = new Uint32Array(native.mapDescriptor(descriptor, blockAt(0), BLOCK_BYTES));
  const reader = new HistogramsReader(descriptor).look();
  writer.record(0, METRIC.auth, 0.000_7);
  words[HEADS_BYTES / 4 + 700] = 2 ** 32 - 1;
  words[0] = 2 ** 32 - 1;
  const before = reader.unwritten(METRIC.auth);
  deepStrictEqual(sparse(before?.counts), [[700, 2 ** 32 - 1]]);
  if (before !== null) reader.commit(before);
  for (let i = 0; i < 3; i += 1) writer.record(0, METRIC.auth, 0.000_7);
  deepStrictEqual(sparse(reader.unwritten(METRIC.auth)?.counts), [[700, 3]]);
  deepStrictEqual(sparse(reader.total(METRIC.auth)), [[700, 2 ** 32 + 2]]);
});

test("a worker killed between its count and its total costs nothing", (context) => {
  const descriptor = memory(context);
  openHistograms(descriptor, 0).record(0, METRIC.auth, 0.000_7);
  const words = new Uint32Array(native.mapDescriptor(descriptor, blockAt(0), BLOCK_BYTES));
  const reader = new HistogramsReader(descriptor).look();
  words[HEADS_BYTES / 4 + 700] = 2;
  const interval = reader.unwritten(METRIC.auth);
  deepStrictEqual(sparse(interval?.counts), [[700, 2]]);
  if (interval !== null) reader.commit(interval);
  strictEqual(reader.unwritten(METRIC.auth), null);
  openHistograms(descriptor, 0).record(0, METRIC.auth, 0.000_7);
  deepStrictEqual(sparse(reader.unwritten(METRIC.auth)?.counts), [[700, 1]]);
});

test("memory is taken for what was recorded, and none of it by reading", (context) => {
  const descriptor = memory(context);
  const writer = openHistograms(descriptor, 3);
  for (let i = 0; i < 1_000; i += 1) writer.record(2, METRIC.total, 64 + Math.random() * 60);
  const reader = new HistogramsReader(descriptor).look();
  const taken = kilobytesOf(descriptor);
  const histogram = 2 * METRICS.length + METRIC.total;
  for (let other = 0; other < HISTOGRAMS; other += 1) {
    strictEqual(reader.unwritten(other) !== null, other === histogram);
    reader.total(other);
  }
  strictEqual(new HistogramsGauge(descriptor).recorded(), 1_000);
  // Two pages of counts, the notes, and the heads of two blocks, of which a few pages are looked at.
  strictEqual(taken <= 28, true, `${taken} KB`);
  strictEqual(kilobytesOf(descriptor) <= 28, true, `${kilobytesOf(descriptor)} KB`);
});

test("the last index has its place", (context) => {
  const descriptor = memory(context);
  openHistograms(descriptor, 255).record(63, METRIC.total, Number.POSITIVE_INFINITY);
  const counts = new HistogramsReader(descriptor).look().total(HISTOGRAMS - 1);
  deepStrictEqual(sparse(counts), [[hdrIndexOf(Number.POSITIVE_INFINITY), 1]]);
  strictEqual(counts?.length, HDR_COUNTS);
});

test("a file that is too short for a block is refused before it can be touched", (context) => {
  const descriptor = native.memoryFile("short", BLOCK_BYTES);
  context.after(() => closeSync(descriptor));
  strictEqual(native.mapDescriptor(descriptor, 0, BLOCK_BYTES).byteLength, BLOCK_BYTES);
  let message = "";
  try {
    openHistograms(descriptor, 0);
  } catch (error) {
    message = String(error);
  }
  strictEqual(message.includes("too short"), true, message);
});
