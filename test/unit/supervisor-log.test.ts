/** base/log.ts: what the lines look like, and that credentials do not get through. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { logTo, mask, readable } from "../../src/base/log.ts";

function capture(): { lines: string[]; stream: { write(line: string): void } } {
  const lines: string[] = [];
  return { lines, stream: { write: (line) => void lines.push(line) } };
}

test("a line names its time, level, process and message", () => {
  const { lines, stream } = capture();
  logTo(stream, "worker 3", "info").info({ slot: 2 }, "listening");
  const entry = JSON.parse(lines[0] ?? "");
  assert.match(entry.time, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  assert.deepEqual(
    { level: entry.level, process: entry.process, pid: entry.pid, slot: entry.slot, msg: entry.msg },
    { level: "info", process: "worker 3", pid: process.pid, slot: 2, msg: "listening" },
  );
});

test("lines below the level are not written", () => {
  const { lines, stream } = capture();
  logTo(stream, "supervisor", "warn").info("quiet");
  assert.equal(lines.length, 0);
});

const SECRETS: readonly string[] = [
  "sk-proj-abcdEFGH1234567890",
  "Bearer abc.def-ghi",
  "Basic dXNlcjpwYXNzd29yZA==",
  "https://user:hunter2@proxy.internal/v1",
  "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
  "AIzaSyA1234567890abcdefghijklmnop",
  "AKIAIOSFODNN7EXAMPLE",
  "gsk_1234567890abcdefABCDEF",
];

for (const secret of SECRETS) {
  test(`masks ${secret.slice(0, 8)}... in a message, a field and an error`, () => {
    const { lines, stream } = capture();
    const log = logTo(stream, "supervisor", "info");
    log.info(`upstream said ${secret}`);
    log.info({ detail: secret }, "x");
    log.error(new Error(`failed with ${secret}`));
    const tail = secret.slice(-8).replace(/^.*@/, "");
    for (const line of lines) {
      assert.ok(!line.includes(secret), line);
      assert.ok(secret.includes("@") || !line.includes(tail), line);
      JSON.parse(line);
    }
  });
}

test("a field with a credential's name is masked whatever it holds, quotes included", () => {
  for (const name of ["authorization", "api-key", "X-Api-Key", "apiKey", "password"]) {
    const line = mask(JSON.stringify({ [name]: 'a"b\\c', other: "kept" }));
    assert.deepEqual(JSON.parse(line), { [name]: "[redacted]", other: "kept" });
  }
});

test("ordinary text is left alone", () => {
  const text = JSON.stringify({ msg: "task-runner at http://127.0.0.1:8081/v1 used disk-space", path: "/v1/models" });
  assert.equal(mask(text), text);
});

test("a terminal gets the time of day, the fields, and the stack below", () => {
  const line = JSON.stringify({
    level: "info",
    time: "2026-01-02T03:04:05.678Z",
    process: "worker 1",
    pid: 9,
    slot: 4,
    path: "a b",
    msg: "listening",
  });
  assert.equal(readable(line), '03:04:05.678 info  worker 1: listening slot=4 path="a b"\n');
  const failed = JSON.stringify({
    level: "error",
    time: "",
    process: "s",
    err: { message: "no", stack: "Error: no\n at x" },
  });
  assert.equal(readable(failed), " error s: no\nError: no\n at x\n");
});
