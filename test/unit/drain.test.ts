/** From the rings to the sinks: exactly once whatever is killed when, and what the Drainer does when a part of it fails. */
import { deepEqual, equal, fail, match, ok, rejects } from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, type TestContext, test } from "node:test";
import { pathToFileURL } from "node:url";
import { encodeLabel } from "../../src/base/bytes.ts";
import {
  DRAIN_BATCH_RECORDS_MAX,
  DRAIN_INTERVAL_MS,
  DRAIN_PATIENCE_LOOKS,
  DRAIN_RECORDS_MIN,
  RING_RECORDS,
} from "../../src/base/limits.ts";
import { MODEL_LABEL_BYTES } from "../../src/config/snapshot.ts";
import { RING_AT } from "../../src/shm/layout.ts";
import { openRing, RingReader, RingWriter, slotAt } from "../../src/shm/ring.ts";
import { mapRingFile, ringsDirectory } from "../../src/shm/ring-file.ts";
import { unpackBatch } from "../../src/telemetry/batch.ts";
import { drain } from "../../src/telemetry/drain.ts";
import { Drainer } from "../../src/telemetry/drainer.ts";
import { USAGE_NONE } from "../../src/telemetry/record.ts";
import { RingWatch } from "../../src/telemetry/ring-watch.ts";
import { storePath } from "../../src/telemetry/sinks/store.ts";
import { TaskPool } from "../../src/telemetry/task-pool.ts";
import { sampleRecord } from "../support/sample-record.ts";
import { until } from "../support/until.ts";

const CHILD = join(import.meta.dirname, "../support/drain-child.ts");

function newRing() {
  const dataDir = mkdtempSync(join(tmpdir(), "sluice-drain-"));
  const { writer } = openRing(dataDir);
  const ringPath = join(ringsDirectory(dataDir), "ring-000.map");
  let next = 0;
  const push = (count: number) => {
    for (let i = 0; i < count; i += 1) if (writer.push(sampleRecord({ inputTokens: next }))) next += 1;
  };
  return { dataDir, ringPath, push, pushed: () => next };
}

function inStore(dataDir: string) {
  const database = new DatabaseSync(storePath(dataDir), { readOnly: true, timeout: 5_000 });
  const one = (sql: string) => Number(Object.values(database.prepare(sql).get() ?? {})[0]);
  try {
    return {
      rows: one("SELECT count(*) FROM requests"),
      distinct: one("SELECT count(DISTINCT input_tokens) FROM requests"),
      summed: one("SELECT sum(requests) FROM rollup_hourly"),
    };
  } finally {
    database.close();
  }
}

function killedDrain(dataDir: string, ringPath: string, when: string) {
  const argv = ["--disable-warning=ExperimentalWarning", CHILD, dataDir, ringPath, when];
  const child = spawn(process.execPath, argv, { stdio: ["ignore", "pipe", "inherit"] });
  return { child, started: once(child.stdout, "data"), gone: once(child, "exit") };
}

function newDrainer(t: TestContext, dataDir: string, accessLogPath: string | null = null) {
  const errors: string[] = [];
  const onError = (error: unknown) => errors.push(error instanceof Error ? error.message : String(error));
  const drainer = new Drainer({ dataDir, accessLogPath, onError });
  t.after(() => drainer.close());
  return { drainer, errors };
}

function lineCount(path: string): number {
  return existsSync(path) ? readFileSync(path, "utf8").split("\n").length - 1 : 0;
}

describe("a drain task", () => {
  test("moves a bounded batch and gives its slots back", () => {
    const { dataDir, ringPath, push } = newRing();
    push(DRAIN_BATCH_RECORDS_MAX + 10);
    const first = drain({ dataDir, ringPath, log: false });
    deepEqual([first.records, first.remaining, first.torn, first.batch], [DRAIN_BATCH_RECORDS_MAX, 10, 0, null]);
    equal(drain({ dataDir, ringPath, log: true }).batch?.length !== 0, true);
    equal(new RingReader(ringPath).releasePosition(), DRAIN_BATCH_RECORDS_MAX + 10);
    deepEqual(inStore(dataDir), { rows: 4_106, distinct: 4_106, summed: 4_106 });
  });

  test("sums by target: what the worker wrote as the upstream model, or 'other' where the client invented it", () => {
    const dataDir = mkdtempSync(join(tmpdir(), "sluice-drain-"));
    const { writer } = openRing(dataDir);
    const name = (text: string) => encodeLabel(text, MODEL_LABEL_BYTES);
    for (const upstream of ["gpt-1", "gpt-2", "gpt-2"])
      writer.push(sampleRecord({ model: name("gpt"), upstreamModel: name(upstream) }));
    const invented = { model: name("invented"), upstreamModel: name("invented") };
    writer.push(sampleRecord({ ...invented, status: 404, usageSource: USAGE_NONE }));
    const { rollup } = drain({ dataDir, ringPath: join(ringsDirectory(dataDir), "ring-000.map"), log: false });
    deepEqual(
      rollup.map((row) => [row.model, row.upstreamModel, row.requests]),
      [
        ["gpt", "gpt-1", 1],
        ["gpt", "gpt-2", 2],
        ["other", "other", 1],
      ],
    );
  });

  for (const when of ["commit", "release"]) {
    test(`killed before its ${when} neither loses nor doubles a record`, async () => {
      const { dataDir, ringPath, push } = newRing();
      push(100);
      const [, signal] = await killedDrain(dataDir, ringPath, when).gone;
      equal(signal, "SIGKILL");
      equal(new RingReader(ringPath).releasePosition(), 0);
      equal(inStore(dataDir).rows, when === "commit" ? 0 : 100);
      push(50);
      drain({ dataDir, ringPath, log: false });
      deepEqual(inStore(dataDir), { rows: 150, distinct: 150, summed: 150 });
      equal(new RingReader(ringPath).releasePosition(), 150);
    });
  }

  test("killed again and again at any moment neither loses nor doubles a record", async () => {
    const { dataDir, ringPath, push, pushed } = newRing();
    for (let kill = 0; kill < 5; kill += 1) {
      const { child, started, gone } = killedDrain(dataDir, ringPath, "never");
      await started;
      const target = pushed() + 3_000;
      const reader = new RingReader(ringPath);
      await until("the child drains", () => {
        push(200);
        return pushed() >= target && reader.releasePosition() > target - 3_000;
      });
      child.kill("SIGKILL");
      await gone;
    }
    while (drain({ dataDir, ringPath, log: false }).remaining > 0);
    deepEqual(inStore(dataDir), { rows: pushed(), distinct: pushed(), summed: pushed() });
  });

  test("starts from the ring's own position when the database is new", () => {
    const { dataDir, ringPath, push } = newRing();
    push(10);
    new RingReader(ringPath).release(4);
    equal(drain({ dataDir, ringPath, log: false }).records, 6);
  });

  test("skips torn records and counts them", () => {
    const { dataDir, ringPath, push } = newRing();
    push(3);
    new Uint8Array(mapRingFile(ringPath).mapping).fill(0, slotAt(1), slotAt(2));
    const { records, torn } = drain({ dataDir, ringPath, log: false });
    deepEqual([records, torn], [2, 1]);
  });

  test("counts what is torn anywhere in a large batch, and logs everything else in order", () => {
    const { dataDir, ringPath, push } = newRing();
    push(1_000);
    const bytes = new Uint8Array(mapRingFile(ringPath).mapping);
    for (const position of [0, 500, 999]) bytes.fill(0, slotAt(position), slotAt(position + 1));
    const { records, torn, remaining, batch } = drain({ dataDir, ringPath, log: true });
    deepEqual([records, torn, remaining], [997, 3, 0]);
    const logged = unpackBatch(batch ?? new Uint8Array()).map((record) => record.inputTokens);
    const whole = Array.from({ length: 1_000 }, (_, i) => i).filter((i) => i % 500 !== 0 && i !== 999);
    deepEqual(logged, whole);
    equal(inStore(dataDir).rows, 997);
  });

  test("deletes a ring of an earlier boot once it is empty", () => {
    const { dataDir, ringPath, push } = newRing();
    push(5_000);
    const left = join(ringsDirectory(dataDir), "ring-000.left-0123456789abcdef.map");
    renameSync(ringPath, left);
    equal(drain({ dataDir, ringPath: left, log: false }).remaining, 904);
    ok(existsSync(left));
    drain({ dataDir, ringPath: left, log: false });
    equal(existsSync(left), false);
    equal(inStore(dataDir).rows, 5_000);
  });

  test("notices that a ring was made anew under its name", () => {
    const { dataDir, ringPath, push } = newRing();
    push(3);
    drain({ dataDir, ringPath, log: false });
    const other = newRing();
    other.push(4);
    renameSync(other.ringPath, ringPath);
    equal(drain({ dataDir, ringPath, log: false }).records, 4);
  });
});

describe("the drainer", () => {
  test("empties all rings, also those that no worker holds any more", async (t) => {
    const { dataDir, push } = newRing();
    const second = openRing(dataDir).writer;
    push(9_000);
    for (let i = 0; i < 70; i += 1) second.push(sampleRecord({ inputTokens: 1e6 + i }));
    const { drainer, errors } = newDrainer(t, dataDir);
    await drainer.drainAll();
    deepEqual(inStore(dataDir), { rows: 9_070, distinct: 9_070, summed: 9_070 });
    deepEqual([drainer.tally.records, errors], [9_070, []]);
    const [series] = [...drainer.series.rows()];
    deepEqual([series?.model, series?.provider, series?.requests[2]], ["gpt-5-mini", "openai", 9_070]);
  });

  test("drains by itself once it is started, and a full ring without a pause", async (t) => {
    const { dataDir, push } = newRing();
    push(RING_RECORDS);
    const { drainer } = newDrainer(t, dataDir);
    drainer.start();
    await until("the ring is empty", () => drainer.tally.records === RING_RECORDS);
    push(5);
    await until("later records are drained", () => drainer.tally.records === RING_RECORDS + 5);
  });

  test("drains many records at the next look, and few in one of several", async (t) => {
    const { dataDir, push, ringPath } = newRing();
    t.mock.timers.enable({ apis: ["setInterval"] });
    const { drainer } = newDrainer(t, dataDir);
    drainer.start();
    push(DRAIN_RECORDS_MIN);
    t.mock.timers.tick(DRAIN_INTERVAL_MS);
    await until("many are drained", () => drainer.tally.records === DRAIN_RECORDS_MIN);
    push(DRAIN_RECORDS_MIN - 1);
    deepEqual(new RingWatch(dataDir, () => fail()).holding(DRAIN_RECORDS_MIN), []);
    deepEqual(new RingWatch(dataDir, () => fail()).holding(DRAIN_RECORDS_MIN - 1), [ringPath]);
    for (let look = 1; look < DRAIN_PATIENCE_LOOKS; look += 1) t.mock.timers.tick(DRAIN_INTERVAL_MS);
    await until("few are drained", () => drainer.tally.records === 2 * DRAIN_RECORDS_MIN - 1);
  });

  test("writes the access log, and to a new file after reopenLog", async (t) => {
    const { dataDir, push } = newRing();
    const log = join(dataDir, "log/access.ndjson");
    const { drainer } = newDrainer(t, dataDir, log);
    push(3);
    await drainer.drainAll();
    renameSync(log, `${log}.1`);
    await drainer.reopenLog();
    push(2);
    await drainer.drainAll();
    deepEqual([lineCount(`${log}.1`), lineCount(log), drainer.tally.logLines], [3, 2, 5]);
  });

  test("begins, moves and ends the access log with the configuration", async (t) => {
    const { dataDir, push } = newRing();
    const { drainer } = newDrainer(t, dataDir);
    const [first, second] = [join(dataDir, "1"), join(dataDir, "2")];
    for (const path of [null, first, second, null]) {
      drainer.setAccessLogPath(path);
      push(2);
      await drainer.drainAll();
    }
    deepEqual([lineCount(first), lineCount(second), inStore(dataDir).rows], [2, 2, 8]);
  });

  test("stores usage while the access log cannot be written, says so once, and catches up", async (t) => {
    const { dataDir, push } = newRing();
    const log = join(dataDir, "log");
    mkdirSync(log);
    const { drainer, errors } = newDrainer(t, dataDir, log);
    for (let i = 0; i < 3; i += 1) {
      push(1);
      await drainer.drainAll();
    }
    equal(inStore(dataDir).rows, 3);
    equal(errors.length, 1);
    match(errors[0] ?? "", /access log: EISDIR/);
    rmSync(log, { recursive: true });
    drainer.start();
    await until("the held lines are written", () => lineCount(log) === 3);
  });

  test("keeps records in the ring while the store cannot be written, and stores them after that", async (t) => {
    const { dataDir, push, ringPath } = newRing();
    mkdirSync(storePath(dataDir));
    const { drainer, errors } = newDrainer(t, dataDir);
    push(10);
    await drainer.drainAll();
    await drainer.drainAll();
    deepEqual([drainer.tally.failures, errors.length, new RingReader(ringPath).releasePosition()], [2, 1, 0]);
    rmSync(storePath(dataDir), { recursive: true });
    await drainer.drainAll();
    equal(inStore(dataDir).rows, 10);
  });

  test("drains the other rings when one file is not a ring", async (t) => {
    const { dataDir, push } = newRing();
    writeFileSync(join(ringsDirectory(dataDir), "ring-007.map"), "junk");
    push(2);
    const { drainer, errors } = newDrainer(t, dataDir);
    await drainer.drainAll();
    await drainer.drainAll();
    equal(inStore(dataDir).rows, 2);
    deepEqual([errors.length, errors[0]?.includes("ring-007.map: it has 4 bytes")], [1, true]);
  });

  test("drains what is left by a worker that died in the middle of a record", async (t) => {
    const { dataDir, push, ringPath } = newRing();
    push(4);
    const file = mapRingFile(ringPath);
    const { mapping } = file;
    new Uint8Array(mapping).fill(9, slotAt(4), slotAt(4) + 100);
    const next = new RingWriter(file);
    next.push(sampleRecord({ inputTokens: 77 }));
    const { drainer } = newDrainer(t, dataDir);
    await drainer.drainAll();
    deepEqual([inStore(dataDir).rows, drainer.tally.torn], [5, 0]);
    equal(Number(new BigInt64Array(mapping, 0, 64)[RING_AT.release / 8]), 5);
  });
});

describe("a task pool", () => {
  function newPool(t: TestContext, code: string) {
    const path = join(mkdtempSync(join(tmpdir(), "sluice-pool-")), "task.mjs");
    writeFileSync(path, code);
    const errors: unknown[] = [];
    const pool = new TaskPool<number, number>({
      file: pathToFileURL(path),
      threadsMax: 1,
      onError: (error) => errors.push(error),
    });
    t.after(() => pool.close());
    return { path, pool, errors };
  }

  test("survives tasks that throw and threads that die", async (t) => {
    const code =
      "export default (n) => { if (n === 1) throw new Error('one'); if (n === 2) process.exit(); return n; }";
    const { pool } = newPool(t, code);
    await rejects(pool.run(1), /one/);
    await rejects(pool.run(2), /exited/);
    equal(await pool.run(3), 3);
  });

  test("that cannot start pauses, says why, and starts when it can", async (t) => {
    const { path, pool, errors } = newPool(t, "throw new Error('no start');");
    await rejects(pool.run(1));
    await until("the failure is told", () => errors.length > 0);
    await rejects(pool.run(1), { code: "pool_down" });
    writeFileSync(path, "export default (n) => n;");
    const answer = await until("the pool is back", () => pool.run(4).catch(() => null));
    equal(answer, 4);
  });
});
