/** The ring against a model, in one process and over processes that are killed; and proof that both rigs see faults. */
import { ok, rejects, throws } from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { openRing } from "../../src/shm/ring.ts";
import { ringsDirectory } from "../../src/shm/ring-file.ts";
import { Random } from "./random.ts";
import { ignoresFull, publishesFirst, wrapsAt32Bits } from "./ring-broken.ts";
import { RingModel, startAt, type Writer } from "./ring-model.ts";
import { runProcesses } from "./ring-processes.ts";
import { fuzz } from "./trials.ts";

const STARTS = [0, 1, 16_383, 2 ** 31 - 5, 2 ** 32 - 20, 2 ** 40 + 7];
/** For the rigs' own tests: the same run each time. */
const SEED = 20_260_102;

async function withDirectory(work: (dataDir: string) => Promise<void> | void): Promise<void> {
  const dataDir = mkdtempSync(join(tmpdir(), "sluice-ring-"));
  try {
    await work(dataDir);
  } finally {
    rmSync(dataDir, { recursive: true });
  }
}

function newRing(dataDir: string, start: number): string {
  const { slot } = openRing(dataDir);
  const path = join(ringsDirectory(dataDir), `ring-${String(slot).padStart(3, "0")}.map`);
  startAt(path, start);
  return path;
}

function runBroken(dataDir: string, writer: (file: Parameters<typeof publishesFirst>[0]) => Writer): void {
  new RingModel(new Random(SEED), newRing(dataDir, 2 ** 32 - 20), writer).run(2_000);
}

describe("ring", () => {
  test("does what an array does, at every position", () =>
    withDirectory((dataDir) =>
      fuzz(12, (random) => new RingModel(random, newRing(dataDir, random.pick(STARTS))).run(400)),
    ));

  test("loses and doubles nothing when its writers are killed one after the other", () =>
    withDirectory(async (dataDir) => {
      const seed = Number(process.env["SLUICE_FUZZ_SEED"] ?? Date.now() % 2 ** 31);
      const read = await runProcesses(new Random(seed), dataDir, 5, "real").catch((cause: unknown) => {
        throw new Error(`repeat with SLUICE_FUZZ_SEED=${seed}`, { cause });
      });
      ok(read > 0);
    }));
});

describe("the rig catches a writer that", () => {
  test("publishes before it writes", () =>
    withDirectory((dataDir) => {
      throws(() => runBroken(dataDir, publishesFirst));
    }));

  test("overwrites records when the ring is full", () =>
    withDirectory((dataDir) => {
      throws(() => runBroken(dataDir, ignoresFull));
    }));

  test("keeps its position in 32 bits", () =>
    withDirectory((dataDir) => {
      throws(() => runBroken(dataDir, wrapsAt32Bits));
    }));

  test("publishes before it writes, and is killed", () =>
    withDirectory(async (dataDir) => {
      await rejects(runProcesses(new Random(SEED), dataDir, 3, "publishesFirst"), /torn|holds number/);
    }));
});
