/** Interval logs on disk: within their bound at any time, whole lines only, the oldest go first. */
import { deepStrictEqual, match, ok, strictEqual, throws } from "node:assert/strict";
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { boundLogs, LogFiles, logFolder } from "../../src/telemetry/latency/files.ts";

const HEAD = "# head\n";
const NOWHERE = { fileMs: 0, fileBytes: 0 };
const START_MS = Date.UTC(2026, 10, 21, 4, 31, 21, 123);

function newFolder(): string {
  return logFolder(mkdtempSync(join(tmpdir(), "sluice-logs-")));
}

function logs(folder: string, place = NOWHERE, diskBytes = 1_000_000): LogFiles {
  return new LogFiles({ folder, diskBytes, startMs: START_MS, head: HEAD }, place);
}

function textOf(folder: string): string {
  const names = readdirSync(folder).sort();
  return names.map((name) => readFileSync(join(folder, name), "utf8")).join("");
}

function bytesIn(folder: string): number {
  return readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
}

/** Appends in a task of its own; where the next one goes on. */
function append(folder: string, line: string, place = NOWHERE, diskBytes?: number) {
  const files = logs(folder, place, diskBytes);
  files.append(line);
  files.close();
  return files.place;
}

test("a log has a head, and its name is the UTC time of its begin", () => {
  const folder = newFolder();
  append(folder, "one\n");
  deepStrictEqual(readdirSync(folder), ["sluice-20261121T043121123Z.hlog"]);
  strictEqual(textOf(folder), `${HEAD}one\n`);
});

test("a task goes on in the log of the one before", () => {
  const folder = newFolder();
  append(folder, "two\n", append(folder, "one\n"));
  strictEqual(textOf(folder), `${HEAD}one\ntwo\n`);
});

test("what a task that died left behind its whole lines is overwritten", () => {
  const folder = newFolder();
  const place = append(folder, "one\n");
  appendFileSync(join(folder, readdirSync(folder)[0] ?? ""), "half a very long li");
  append(folder, "two\n", place);
  strictEqual(textOf(folder), `${HEAD}one\ntwo\n`);
});

test("a log that somebody removed or cut is followed by a new one with a head", () => {
  const folder = newFolder();
  const place = append(folder, "one\n");
  rmSync(join(folder, readdirSync(folder)[0] ?? ""));
  const next = append(folder, "two\n", place);
  strictEqual(textOf(folder), `${HEAD}two\n`);
  writeFileSync(join(folder, readdirSync(folder)[0] ?? ""), "");
  append(folder, "three\n", next);
  strictEqual(textOf(folder), `${HEAD}three\n`);
});

test("a log of an earlier start is never written to, even if the clock says so", () => {
  const folder = newFolder();
  append(folder, "one\n");
  append(folder, "two\n");
  deepStrictEqual(readdirSync(folder).sort(), ["sluice-20261121T043121123Z.hlog", "sluice-20261121T043121124Z.hlog"]);
  strictEqual(textOf(folder), `${HEAD}one\n${HEAD}two\n`);
});

test("the folder is within its bound after every line, and has the newest ones", () => {
  const folder = newFolder();
  const bound = 4_000;
  let place = NOWHERE;
  for (let i = 0; i < 500; i += 1) {
    place = append(folder, `${i} ${"x".repeat((i * 37) % 300)}\n`, place, bound);
    ok(bytesIn(folder) <= bound, `${bytesIn(folder)} bytes after line ${i}`);
  }
  const numbers = [...textOf(folder).matchAll(/^(\d+) /gm)].map(([, number]) => Number(number));
  deepStrictEqual(
    numbers,
    Array.from({ length: numbers.length }, (_, i) => 500 - numbers.length + i),
  );
  ok(bytesIn(folder) > bound / 2);
  for (const name of readdirSync(folder)) match(readFileSync(join(folder, name), "utf8"), /^# head\n/);
});

test("what is not a log of ours stays", () => {
  const folder = newFolder();
  append(folder, "one\n");
  writeFileSync(join(folder, "notes.hlog"), "x".repeat(5_000));
  boundLogs(folder, 10);
  deepStrictEqual(readdirSync(folder), ["notes.hlog"]);
});

test("a folder that is not there is within every bound", () => boundLogs(newFolder(), 0));

test("a disk that refuses is an error with its reason, and the next task tries again", () => {
  const folder = newFolder();
  writeFileSync(folder, "");
  throws(() => append(folder, "one\n"), { code: "EEXIST" });
  rmSync(folder);
  append(folder, "one\n");
  strictEqual(textOf(folder), `${HEAD}one\n`);
});
