/**
 * The ring over processes: children push and are killed with SIGKILL at random moments, one after the other, while this
 * process reads and releases. Every push that a child was told is published is read exactly once, whole and in order.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { native } from "../../src/native/native.ts";
import { RingReader } from "../../src/shm/ring.ts";
import { ringsDirectory } from "../../src/shm/ring-file.ts";
import { until } from "../support/until.ts";
import type { Random } from "./random.ts";
import { assertWhole } from "./ring-model.ts";

const CHILD = join(import.meta.dirname, "ring-child.ts");
const RECORDS_MAX = 30_000;

/** Throws at the first difference; returns how many records were read. */
export async function runProcesses(random: Random, dataDir: string, kills: number, kind: string): Promise<number> {
  const pushed = new BigInt64Array(native.mapFile(join(dataDir, "pushed.map"), 4_096));
  let next = 0;
  for (let kill = 0; kill < kills; kill += 1) {
    next = await runChild(dataDir, kind, pushed, next, next + 1 + random.below(RECORDS_MAX));
    // A push may be published and not yet counted; never the other way round.
    const told = Number(Atomics.load(pushed, 0));
    if (next < told || next > told + 1) throw new Error(`${told} records were published and ${next} read`);
  }
  return next;
}

/** One child, killed when about `target` records were read; returns how many were read in all. */
async function runChild(dataDir: string, kind: string, pushed: BigInt64Array, from: number, target: number) {
  const child = spawn(process.execPath, [CHILD, dataDir, String(from), kind], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const gone = once(child, "exit");
  try {
    await until("the child pushes", () => child.exitCode !== null || Number(Atomics.load(pushed, 0)) > from);
    const reader = new RingReader(join(ringsDirectory(dataDir), "ring-000.map"));
    const next = readUntil(reader, from, target);
    child.kill("SIGKILL");
    await gone;
    return readUntil(reader, next, reader.writePosition());
  } finally {
    child.kill("SIGKILL");
    await gone;
  }
}

/** Reads and releases, without a pause, until `target` records were read in all. Position and number are the same here. */
function readUntil(reader: RingReader, from: number, target: number): number {
  const deadline = performance.now() + 20_000;
  let next = from;
  while (next < target) {
    const { records, torn, end } = reader.read(next, target - next);
    if (torn > 0) throw new Error(`${torn} torn records before ${end}`);
    for (const record of records) {
      if (record.inputTokens !== next) throw new Error(`record ${next} holds number ${record.inputTokens}`);
      assertWhole(record);
      next += 1;
    }
    reader.release(next);
    if (performance.now() > deadline) throw new Error(`only ${next} of ${target} records came`);
  }
  return next;
}
