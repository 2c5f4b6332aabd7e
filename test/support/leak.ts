/**
 * Repeats a fault a thousand times and looks for what it left in the one worker of a Sluice under test: requests in flight,
 * bytes reserved, scanners, upstream connections, file descriptors, memory. Also that it was this fault and no other.
 */
import { ok } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { ErrorRow } from "../../src/base/errors.ts";
import { IN_FLIGHT_WORDS } from "../../src/base/limits.ts";
import { PAGE_BYTES } from "../../src/shm/layout.ts";
import { openFiles, residentBytes } from "./process-tree.ts";
import { RawClient } from "./raw-client.ts";
import type { Sluice } from "./sluice.ts";
import { until } from "./until.ts";

export const TIMES = 1_000;
const MIB = 1_048_576;
/**
 * What the second five hundred failures of one kind may add to what the first left to the collector and the allocator. A
 * leaked body of 100 KB each would be 50 MB.
 */
const GROWTH_BYTES_MAX = 32 * MIB;
const DESCRIPTORS_SLACK = 8;
/** In front of the columns of a slot. */
const NAME_WORDS = 2;
/** Quarters that are added where a kind was counted less often than it was tried. */
const MORE_MAX = 4;

/** What a fault does, so many times. */
export type Repeat = (times: number) => Promise<void>;

export class LeakCheck {
  readonly pid: number;
  private readonly sluice: Sluice;
  private readonly files: number;
  private readonly before: number;

  private constructor(sluice: Sluice, before: number) {
    this.sluice = sluice;
    this.pid = workerPid(sluice);
    this.files = openFiles(this.pid);
    this.before = before;
  }

  /** What is there now may be there afterwards. */
  static async begin(sluice: Sluice): Promise<LeakCheck> {
    return new LeakCheck(sluice, await heldBy(sluice));
  }

  /** `row`: what each of them is counted as, where it is an error of the gateway's. */
  async thousandTimes(repeat: Repeat, row: ErrorRow | null): Promise<void> {
    const before = await this.countOf(row);
    await repeat(TIMES / 2);
    const memoryBefore = residentBytes(this.pid);
    await repeat(TIMES / 2);
    if (row !== null) await this.fillUp(repeat, row, before + TIMES);
    await this.nothingIsLeft();
    const growth = residentBytes(this.pid) - memoryBefore;
    ok(growth < GROWTH_BYTES_MAX, `grew by ${Math.round(growth / MIB)} MiB`);
  }

  /** On a busy machine some of them may have run into another deadline. */
  private async fillUp(repeat: Repeat, row: ErrorRow, end: number): Promise<void> {
    for (let left = MORE_MAX; left > 0 && (await this.countOf(row)) < end; left -= 1) await repeat(TIMES / 4);
    ok((await this.countOf(row)) >= end, `${row.code} comes less often`);
  }

  /** The keep-alive empties the upstream connections. */
  private async nothingIsLeft(): Promise<void> {
    await until("nothing is left over", async () => (await heldBy(this.sluice)) <= this.before);
    await until("file descriptors are given back", () => openFiles(this.pid) <= this.files + DESCRIPTORS_SLACK);
  }

  private async countOf(row: ErrorRow | null): Promise<number> {
    return row === null ? 0 : errorCount(this.sluice, row);
  }
}

/** How often a row was counted since the start. */
export async function errorCount(sluice: Sluice, row: ErrorRow): Promise<number> {
  return sluice.metric("sluice_request_errors_total", { code: row.code });
}

export function workerPid(sluice: Sluice): number {
  const [pid] = sluice.workerPids();
  if (pid === undefined) throw new Error("no worker");
  return pid;
}

/** Requests in flight, attempts and hedges in their map, bytes reserved, scanners taken and upstream connections open. */
export async function heldBy(sluice: Sluice): Promise<number> {
  const names = ["requests_in_flight", "request_body_bytes_in_flight", "scanner_slots", "upstream_connections"];
  const values = await Promise.all(names.map((name) => sluice.metric(`sluice_${name}`)));
  return values.reduce((sum, value) => sum + value, 0) + attemptsIn(sluice.dataDir);
}

/** What all columns of in-flight.map have; what was taken off too often counts as well. */
function attemptsIn(dataDir: string): number {
  const file = readFileSync(join(dataDir, "in-flight.map"));
  const words = new Int32Array(file.buffer, file.byteOffset + PAGE_BYTES);
  let sum = 0;
  for (let at = 0; at < words.length; at += IN_FLIGHT_WORDS)
    for (let word = NAME_WORDS; word < IN_FLIGHT_WORDS; word += 1) sum += Math.abs(words[at + word] ?? 0);
  return sum;
}

/** The same request by one client after the other on one connection while it lasts; `manner`: what a client does then. */
export async function repeatRequest(
  sluice: Sluice,
  request: Buffer,
  manner: (client: RawClient) => Promise<void>,
  times: number,
): Promise<void> {
  let client: RawClient | null = null;
  for (let i = 0; i < times; i += 1) {
    if (client === null || client.ended || client.socket.destroyed) client = await RawClient.connect(sluice.port);
    await client.send(request);
    await manner(client);
  }
  client?.leave();
}

/** `each` by so many clients at once. */
export async function together<T>(clients: number, each: () => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: clients }, each));
}
