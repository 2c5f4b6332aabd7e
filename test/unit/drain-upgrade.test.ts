/** Records while an upgrade writes the program's files: nothing is loaded from those, and nothing is taken out of a ring for a log that cannot start. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openRing } from "../../src/shm/ring.ts";
import type { DrainerOptions, Drainer as DrainerType } from "../../src/telemetry/drainer.ts";
import { ProgramTree } from "../support/program-tree.ts";
import { sampleRecord } from "../support/sample-record.ts";
import { until } from "../support/until.ts";

const RECORDS = 100;

function linesIn(path: string): number {
  return existsSync(path) ? readFileSync(path, "utf8").split("\n").length - 1 : 0;
}

test("records stay in the ring until the log can be written again, each line once", async (t) => {
  const tree = new ProgramTree();
  t.after(() => tree.remove());
  const { Drainer } = (await import(join(tree.root, "src/telemetry/drainer.ts"))) as {
    Drainer: new (options: DrainerOptions) => DrainerType;
  };
  const dataDir = mkdtempSync(join(tmpdir(), "sluice-drain-"));
  const accessLogPath = join(dataDir, "access.ndjson");
  const codes: unknown[] = [];
  const onError = (error: unknown) => codes.push((error as { code?: unknown }).code);
  const drainer = new Drainer({ dataDir, accessLogPath, onError });
  t.after(() => drainer.close());
  const { writer } = openRing(dataDir);
  for (let i = 0; i < RECORDS; i += 1) ok(writer.push(sampleRecord({ inputTokens: i })));

  tree.change("package.json", '"version": "', '"version": "9.');
  drainer.start();
  await until("the change is told", () => codes.includes("program_changed"));
  equal(drainer.tally.records, 0);

  tree.change("package.json", '"version": "9.', '"version": "');
  await until("the lines are there", () => linesIn(accessLogPath) >= RECORDS);
  equal(drainer.tally.records, RECORDS);

  // Threads that run need nothing of what is on disk.
  tree.change("package.json", '"version": "', '"version": "9.');
  for (let i = 0; i < RECORDS; i += 1) ok(writer.push(sampleRecord({ inputTokens: RECORDS + i })));
  await until("the next lines are there", () => linesIn(accessLogPath) >= 2 * RECORDS);
  deepEqual([drainer.tally.records, drainer.tally.logLines], [2 * RECORDS, 2 * RECORDS]);
  deepEqual([...drainer.tally.logDropped], []);
});
