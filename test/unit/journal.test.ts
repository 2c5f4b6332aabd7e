/** base/journal.ts: lines for systemd's journal have their priority, and only those. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, fstatSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { graded, gradedEntry, isJournal } from "../../src/base/journal.ts";
import { logTo } from "../../src/base/log.ts";
import { ROOT } from "../support/program.ts";

/** A file in the place of the stream to the journal: what is compared is the same. */
interface Stream {
  readonly file: string;
  readonly descriptor: number;
  readonly name: string;
}

function streamFor(t: TestContext): Stream {
  const directory = mkdtempSync(join(tmpdir(), "sluice-journal-"));
  const file = join(directory, "stream");
  const descriptor = openSync(file, "w");
  t.after(() => {
    closeSync(descriptor);
    rmSync(directory, { recursive: true });
  });
  const { dev, ino } = fstatSync(descriptor, { bigint: true });
  return { file, descriptor, name: `${dev}:${ino}` };
}

test("it is the journal if the descriptor is the stream in the environment, and not if it was redirected", (t) => {
  const { descriptor, name } = streamFor(t);
  assert.equal(isJournal(descriptor, { JOURNAL_STREAM: name }), true);
  assert.equal(isJournal(descriptor, { JOURNAL_STREAM: `${name}0` }), false);
  assert.equal(isJournal(descriptor, {}), false);
});

test("every line of a text has the priority; an entry of the log has that of its level", () => {
  assert.equal(graded("one\ntwo\n", "error"), "<3>one\n<3>two\n");
  assert.equal(graded("one", "info"), "<6>one");
  assert.equal(gradedEntry("not an entry\n"), "not an entry\n");
  assert.equal(gradedEntry('{"level":"toString"}\n'), '{"level":"toString"}\n');
  const lines: string[] = [];
  const log = logTo({ write: (line) => void lines.push(line) }, "supervisor", "trace", true);
  for (const level of ["trace", "debug", "info", "warn", "error", "fatal"] as const) log[level]("a sk-abcdefghijkl01");
  assert.deepEqual(
    lines.map((line) => line.slice(0, 3)),
    ["<7>", "<7>", "<6>", "<4>", "<3>", "<2>"],
  );
  assert.deepEqual(
    lines.map((line) => JSON.parse(line.slice(3)).msg),
    lines.map(() => "a [redacted]"),
  );
});

/** What the program says of a configuration that cannot be used. */
function complaint({ file, descriptor }: Stream, journalStream: string): string[] {
  const env = { ...process.env, JOURNAL_STREAM: journalStream };
  const args = ["--disable-warning=ExperimentalWarning", join(ROOT, "src/main.ts"), "check", ROOT];
  assert.equal(spawnSync(process.execPath, args, { env, stdio: ["ignore", "ignore", descriptor] }).status, 1);
  return readFileSync(file, "utf8").trimEnd().split("\n");
}

test("what the program says beside its log is an error in the journal", (t) => {
  const stream = streamFor(t);
  const lines = complaint(stream, stream.name);
  assert.equal(
    lines.every((line) => line.startsWith("<3>")),
    true,
    lines.join("\n"),
  );
});

test("nothing is put before what goes elsewhere", (t) => {
  const lines = complaint(streamFor(t), "1:1");
  assert.equal(
    lines.some((line) => line.startsWith("<")),
    false,
  );
});
