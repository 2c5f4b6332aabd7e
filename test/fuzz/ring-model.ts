/**
 * A ring against a plain array, with random operations: pushes, reads of any size, partial releases, a writer that is
 * replaced (as after a kill), positions anywhere up to beyond 2^32. Also the record both fuzz rigs use, whose fields all
 * follow from one number. Throws at the first difference.
 */
import { deepEqual, equal } from "node:assert/strict";
import { RING_RECORDS } from "../../src/base/limits.ts";
import { RING_AT } from "../../src/shm/layout.ts";
import type { DecodedRecord } from "../../src/shm/record-codec.ts";
import { RingReader, RingWriter } from "../../src/shm/ring.ts";
import { mapRingFile, type RingFile } from "../../src/shm/ring-file.ts";
import type { RequestRecord } from "../../src/telemetry/record.ts";
import { sampleRecord } from "../support/sample-record.ts";
import type { Random } from "./random.ts";

export interface Writer {
  push(record: RequestRecord): boolean;
}

export function recordOf(n: number): RequestRecord {
  return sampleRecord({
    inputTokens: n,
    outputTokens: 2 * n + 1,
    requestId: `req_${n}`,
    path: `/v1/${"x".repeat(n % 70)}`,
    totalUs: n % 4_000_000_000,
  });
}

/** Whether every field is of the same recordOf(). */
export function assertWhole(record: DecodedRecord): void {
  const n = record.inputTokens;
  equal(record.outputTokens, 2 * n + 1);
  equal(record.requestId, `req_${n}`);
  equal(record.path, `/v1/${"x".repeat(n % 70)}`.slice(0, 63));
  equal(record.totalUs, n % 4_000_000_000);
}

/** Sets both positions of an empty ring, as if it had lived that long. */
export function startAt(path: string, position: number): void {
  const positions = new BigInt64Array(mapRingFile(path).mapping, 0, 64);
  positions[RING_AT.write / 8] = BigInt(position);
  positions[RING_AT.release / 8] = BigInt(position);
}

export class RingModel {
  readonly #random: Random;
  readonly #path: string;
  readonly #newWriter: (file: RingFile) => Writer;
  readonly #reader: RingReader;
  #writer: Writer;
  /** Numbers of the records that are published and not released. */
  #held: number[] = [];
  #released: number;
  #next = 0;

  constructor(random: Random, path: string, newWriter = (file: RingFile): Writer => new RingWriter(file)) {
    this.#random = random;
    this.#path = path;
    this.#newWriter = newWriter;
    this.#reader = new RingReader(path);
    this.#writer = newWriter(mapRingFile(path));
    this.#released = this.#reader.releasePosition();
  }

  run(operations: number): void {
    const all = [
      () => this.#push(),
      () => this.#push(),
      () => this.#read(),
      () => this.#release(),
      () => this.#restart(),
    ];
    for (let i = 0; i < operations; i += 1) this.#random.pick(all)();
  }

  #push(): void {
    const most = this.#random.chance(0.02) ? 2 * RING_RECORDS : 40;
    for (let left = this.#random.below(most); left > 0; left -= 1) {
      const room = this.#held.length < RING_RECORDS;
      equal(this.#writer.push(recordOf(this.#next)), room, "push says whether there was room");
      if (!room) return;
      this.#held.push(this.#next);
      this.#next += 1;
    }
  }

  #read(): void {
    const skip = this.#random.below(this.#held.length + 1);
    const max = this.#random.below(200);
    const batch = this.#reader.read(this.#released + skip, max);
    const expected = this.#held.slice(skip, skip + max);
    deepEqual(
      batch.records.map((record) => record.inputTokens),
      expected,
      "what was pushed is read, in order",
    );
    equal(batch.torn, 0);
    equal(batch.end, this.#released + skip + expected.length);
    batch.records.forEach(assertWhole);
  }

  #release(): void {
    const count = this.#random.below(this.#held.length + 1);
    this.#released += count;
    this.#held = this.#held.slice(count);
    this.#reader.release(this.#released);
    equal(this.#reader.writePosition() - this.#reader.releasePosition(), this.#held.length);
  }

  #restart(): void {
    this.#writer = this.#newWriter(mapRingFile(this.#path));
  }
}
