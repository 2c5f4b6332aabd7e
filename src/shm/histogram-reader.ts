/**
 * The readers of the latency histograms (memory map in histogram-map.ts). `HistogramsReader` lives in one pool task at a
 * time: it adds up all workers, and keeps in the memory file what was written to disk, so that any later task, of another
 * thread too, goes on exactly there. `HistogramsGauge` tells the supervisor's main thread whether there is anything to do.
 */
import { HDR_COUNTS } from "../base/hdr-geometry.ts";
import { RINGS_MAX } from "../base/limits.ts";
import { native } from "../native/native.ts";
import {
  blockAt,
  HEAD_WORDS,
  HEADS_BYTES,
  HISTOGRAMS,
  OCTAVE_COUNTS,
  PLACE_AT,
  SINCE_AT,
  WRITTEN_AT,
} from "./histogram-map.ts";
import { PAGE_BYTES } from "./layout.ts";

const OCTAVES = HDR_COUNTS / OCTAVE_COUNTS - 1;
/** Of the workers' counts. */
const MODULUS = 2 ** 32;

type Counts = Uint32Array | Float64Array;

/** Of the log that pool tasks write to: telemetry/latency/files.ts. */
export interface LogPlace {
  readonly fileMs: number;
  readonly fileBytes: number;
}

/** An interval of one histogram. */
export interface Unwritten {
  readonly histogram: number;
  readonly counts: Float64Array;
  /** Where counts can be other than 0. */
  readonly octaves: number;
  /** Of the workers' heads when this was read, modulo 2^32. */
  readonly total: number;
}

/**
 * The heads of one writer, and the counts of histograms as they are asked for. All of them at once would be 80 MB of addresses, which V8 takes
 * for memory that a collection of garbage might give back: it then tries.
 */
class Block<T extends Counts> {
  readonly heads: Uint32Array;
  readonly #map: (offset: number, bytes: number) => ArrayBuffer;
  readonly #type: new (
    buffer: ArrayBuffer,
  ) => T;
  readonly #bytes: number;
  readonly #counts = new Map<number, T>();

  /** `at`: where it begins. */
  constructor(
    descriptor: number,
    at: number,
    type: { new (buffer: ArrayBuffer): T; readonly BYTES_PER_ELEMENT: number },
  ) {
    this.#map = (offset, bytes) => native.mapDescriptor(descriptor, at + offset, bytes);
    this.#type = type;
    this.#bytes = HDR_COUNTS * type.BYTES_PER_ELEMENT;
    this.heads = new Uint32Array(this.#map(0, HEADS_BYTES));
  }

  countsOf(histogram: number): T {
    const known = this.#counts.get(histogram);
    if (known !== undefined) return known;
    const counts = new this.#type(this.#map(HEADS_BYTES + histogram * this.#bytes, this.#bytes));
    this.#counts.set(histogram, counts);
    return counts;
  }
}

/** The blocks of slots that have had a writer. */
class Blocks {
  readonly all: Block<Uint32Array>[] = [];
  readonly #descriptor: number;
  readonly #used: Uint8Array;
  readonly #mapped = new Set<number>();

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
    this.#used = new Uint8Array(native.mapDescriptor(descriptor, 0, PAGE_BYTES), 0, RINGS_MAX);
  }

  /** Takes in those that came since. */
  look(): void {
    for (let slot = 0; slot < RINGS_MAX; slot += 1) {
      if (this.#used[slot] !== 1 || this.#mapped.has(slot)) continue;
      this.#mapped.add(slot);
      this.all.push(new Block(this.#descriptor, blockAt(slot), Uint32Array));
    }
  }
}

export class HistogramsGauge {
  /** When counting began, wall-clock milliseconds. */
  readonly sinceMs: number;
  readonly #blocks: Blocks;

  constructor(descriptor: number) {
    this.#blocks = new Blocks(descriptor);
    this.sinceMs = new Float64Array(native.mapDescriptor(descriptor, 0, PAGE_BYTES), SINCE_AT, 1)[0] ?? 0;
  }

  /** How many values were recorded by all workers since the start, modulo 2^32. */
  recorded(): number {
    let sum = 0;
    this.#blocks.look();
    for (const { heads } of this.#blocks.all) {
      for (let histogram = 0; histogram < HISTOGRAMS; histogram += 1) sum += heads[histogram * HEAD_WORDS] ?? 0;
    }
    return sum % MODULUS;
  }
}

/** The descriptor has to stay open. */
export class HistogramsReader {
  readonly #blocks: Blocks;
  readonly #place: Float64Array;
  /** Since the start, not modulo anything: exact up to 2^53. */
  readonly #written: Block<Float64Array>;

  constructor(descriptor: number) {
    this.#blocks = new Blocks(descriptor);
    this.#place = new Float64Array(native.mapDescriptor(descriptor, 0, PAGE_BYTES), PLACE_AT, 2);
    this.#written = new Block(descriptor, WRITTEN_AT, Float64Array);
  }

  /** Takes in the workers that came since it was made, or since the last call. Before the calls below. */
  look(): this {
    this.#blocks.look();
    return this;
  }

  /** Zeros before the first setPlace(). */
  get place(): LogPlace {
    const [fileMs = 0, fileBytes = 0] = this.#place;
    return { fileMs, fileBytes };
  }

  setPlace({ fileMs, fileBytes }: LogPlace): void {
    this.#place[0] = fileMs;
    this.#place[1] = fileBytes;
  }

  /** Counts of all workers since the start; null: nothing was ever recorded. */
  total(histogram: number): Float64Array | null {
    if (this.#recorded(histogram) === 0 && this.#writtenTotal(histogram) === 0) return null;
    const { counts } = this.#newSinceWritten(histogram);
    this.#addWritten(counts, histogram, 1);
    return counts;
  }

  /** What all workers counted and nobody wrote yet; null: nothing. */
  unwritten(histogram: number): Unwritten | null {
    // Before the counts: what is counted meanwhile makes another total, and is found the next time.
    const total = this.#recorded(histogram);
    if (total === this.#writtenTotal(histogram)) return null;
    const { counts, octaves, empty } = this.#newSinceWritten(histogram);
    if (!empty) return { histogram, counts, octaves, total };
    this.#written.heads[histogram * HEAD_WORDS] = total;
    return null;
  }

  /** It is on disk. */
  commit({ histogram, counts, octaves, total }: Unwritten): void {
    const head = histogram * HEAD_WORDS;
    addCounts(this.#written.countsOf(histogram), counts, octaves);
    this.#written.heads[head] = total;
    this.#written.heads[head + 1] = this.#octavesWritten(histogram) | octaves;
  }

  /** Touches no page that no worker touched. */
  #newSinceWritten(histogram: number): { counts: Float64Array; octaves: number; empty: boolean } {
    const counts = new Float64Array(HDR_COUNTS);
    let octaves = 0;
    for (const block of this.#blocks.all) {
      const touched = block.heads[histogram * HEAD_WORDS + 1] ?? 0;
      if (touched !== 0) addCounts(counts, block.countsOf(histogram), touched);
      octaves |= touched;
    }
    // What was written is a part of what is there: its octaves are among those above.
    this.#addWritten(counts, histogram, -1);
    return { counts, octaves, empty: isEmptyAfterWrap(counts, octaves) };
  }

  #addWritten(counts: Float64Array, histogram: number, factor: number): void {
    const octaves = this.#octavesWritten(histogram);
    if (octaves !== 0) addCounts(counts, this.#written.countsOf(histogram), octaves, factor);
  }

  /** Modulo 2^32. */
  #recorded(histogram: number): number {
    let total = 0;
    for (const { heads } of this.#blocks.all) total += heads[histogram * HEAD_WORDS] ?? 0;
    return total % MODULUS;
  }

  /** What `#recorded` was when the last interval was read. */
  #writtenTotal(histogram: number): number {
    return this.#written.heads[histogram * HEAD_WORDS] ?? 0;
  }

  #octavesWritten(histogram: number): number {
    return this.#written.heads[histogram * HEAD_WORDS + 1] ?? 0;
  }
}

/** Adds the counts, `factor` times, in the octaves that were ever touched. */
function addCounts(counts: Float64Array, from: Counts, octaves: number, factor = 1): void {
  for (let octave = 0; octave < OCTAVES; octave += 1) {
    if ((octaves & (1 << octave)) === 0) continue;
    const end = endOf(octave);
    for (let i = beginOf(octave); i < end; i += 1) counts[i] = (counts[i] ?? 0) + factor * (from[i] ?? 0);
  }
}

/** Takes the counts modulo 2^32, as the workers count; whether all of them are 0 then. */
function isEmptyAfterWrap(counts: Float64Array, octaves: number): boolean {
  let sum = 0;
  for (let octave = 0; octave < OCTAVES; octave += 1) {
    if ((octaves & (1 << octave)) === 0) continue;
    const end = endOf(octave);
    for (let i = beginOf(octave); i < end; i += 1) {
      const count = (counts[i] ?? 0) >>> 0;
      counts[i] = count;
      sum += count;
    }
  }
  return sum === 0;
}

/** The first octave has two parts. */
function beginOf(octave: number): number {
  return octave === 0 ? 0 : (octave + 1) * OCTAVE_COUNTS;
}

function endOf(octave: number): number {
  return (octave + 2) * OCTAVE_COUNTS;
}
