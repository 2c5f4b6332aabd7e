/** The access log: what a line holds, rotation, and a file that cannot be written for a while. */
import { deepEqual, equal, match, ok, throws } from "node:assert/strict";
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmdirSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { packBatch, unpackBatch } from "../../src/telemetry/batch.ts";
import { AccessLog, formatLine } from "../../src/telemetry/sinks/access-log.ts";
import { decodedRecord } from "../support/sample-record.ts";

function newPath(): string {
  return join(mkdtempSync(join(tmpdir(), "sluice-log-")), "a/b/access.ndjson");
}

function requestIds(path: string): unknown[] {
  const lines = readFileSync(path, "utf8").trimEnd().split("\n");
  return lines.map((line) => JSON.parse(line).request_id);
}

function records(...ids: string[]) {
  return ids.map((requestId) => decodedRecord({ requestId }));
}

describe("a line", () => {
  test("has stable fields and readable values", () => {
    deepEqual(JSON.parse(formatLine(decodedRecord({ error: 60, status: 502 }))), {
      time: "2026-01-31T10:20:30.456Z",
      request_id: "req_0123456789abcdef0123456789abcdefzz",
      key: "team-search-production",
      client_address: "10.1.2.3",
      method: "POST",
      path: "/v1/chat/completions",
      endpoint: "chat/completions",
      model: "gpt-5-mini",
      provider: "openai",
      upstream_model: "gpt-5-mini-2025-08-07",
      status: 502,
      upstream_status: 200,
      error: "upstream_cut",
      stream: true,
      client_aborted: false,
      replayed: false,
      attempts: 1,
      usage_source: "measured",
      input_tokens: 1_250,
      cached_tokens: 1_024,
      output_tokens: 312,
      reasoning_tokens: 0,
      cost_nanodollars: 4_125_000,
      unpriced: false,
      duration_ms: 2_412,
      first_byte_ms: 312,
      ttft_ms: 340,
      gateway_ms: 0.092,
      request_bytes: 4_411,
      response_bytes: 61_204,
      kind: "request",
      decision: "",
      credential: null,
    });
  });

  test("says which of several credentials it was", () => {
    equal(JSON.parse(formatLine(decodedRecord({ credential: 16 }))).credential, 16);
  });

  test("stays one line whatever a client puts into a model name, and whenever it says it came", () => {
    const line = formatLine(decodedRecord({ model: 'a"\n{"x":1}', startedAtMs: Number.MAX_SAFE_INTEGER }));
    equal(line.indexOf("\n"), line.length - 1);
    equal(JSON.parse(line).model, 'a"\n{"x":1}');
  });
});

describe("the access log", () => {
  test("makes its directories and appends", () => {
    const path = newPath();
    deepEqual(new AccessLog(path).write(records("a", "b")), { kind: "written" });
    deepEqual(new AccessLog(path).write(records("c")), { kind: "written" });
    deepEqual(requestIds(path), ["a", "b", "c"]);
  });

  test("goes on in a new file after rotation", () => {
    const path = newPath();
    const log = new AccessLog(path);
    log.write(records("a"));
    renameSync(path, `${path}.1`);
    log.write(records("b"));
    equal(log.reopen().kind, "written");
    log.write(records("c"));
    deepEqual([requestIds(`${path}.1`), requestIds(path)], [["a", "b"], ["c"]]);
  });

  test("keeps lines while the file cannot be opened, and writes them in order after that", () => {
    const path = newPath();
    mkdirSync(path, { recursive: true });
    const log = new AccessLog(path);
    const held = log.write(records("a"));
    match(held.kind === "held" ? held.reason : "", /^EISDIR: illegal/);
    equal(log.write(records("b")).kind, "held");
    rmdirSync(path);
    equal(log.flush().kind, "written");
    deepEqual(requestIds(path), ["a", "b"]);
  });

  test("what it could not write goes to another one, which begins behind the byte that is in the file", () => {
    const path = newPath();
    mkdirSync(join(path, ".."), { recursive: true });
    symlinkSync("/dev/full", path);
    const former = new AccessLog(path);
    equal(former.write(records("r1", "r2")).kind, "held");
    const held = former.take();
    former.close();
    unlinkSync(path);
    const written = 100;
    writeFileSync(path, held.lines.subarray(0, written));
    const next = new AccessLog(path);
    next.hold({ ...held, written });
    equal(next.write(records("r3")).kind, "written");
    deepEqual(requestIds(path), ["r1", "r2", "r3"]);
    equal(former.take().lines.length, 0);
    next.close();
  });

  test("keeps lines while the disk is full", () => {
    const path = newPath();
    mkdirSync(join(path, ".."), { recursive: true });
    symlinkSync("/dev/full", path);
    const log = new AccessLog(path);
    const held = log.write(records("a"));
    match(held.kind === "held" ? held.reason : "", /ENOSPC/);
    unlinkSync(path);
    equal(log.reopen().kind, "written");
    deepEqual(requestIds(path), ["a"]);
  });

  test("drops whole batches, newest first, and says why, when it may keep no more", () => {
    const path = newPath();
    mkdirSync(join(path, ".."), { recursive: true });
    symlinkSync("/dev/full", path);
    const log = new AccessLog(path);
    const big = Array.from({ length: 4_096 }, (_, i) => decodedRecord({ requestId: `r${i}`, path: "/".repeat(63) }));
    const outcomes = Array.from({ length: 10 }, () => log.write(big));
    const dropped = outcomes.filter((outcome) => outcome.kind === "dropped");
    ok(dropped.length > 0 && outcomes[0]?.kind === "held");
    deepEqual(dropped[0], { kind: "dropped", reason: "ENOSPC", records: 4_096 });
    unlinkSync(path);
    log.reopen();
    equal(requestIds(path).length, 4_096 * (10 - dropped.length));
  });

  test("is not readable for everybody", () => {
    const path = newPath();
    new AccessLog(path).write(records("a"));
    equal(statSync(path).mode & 0o007, 0);
  });
});

describe("a packed batch", () => {
  test("is what was packed, in memory of its own", () => {
    const first = packBatch(records("a", "b"));
    const second = packBatch(records("c"));
    ok(first.buffer !== second.buffer && first.byteLength === first.buffer.byteLength);
    deepEqual(unpackBatch(first), records("a", "b"));
    deepEqual(unpackBatch(second), records("c"));
  });

  test("that is damaged is refused", () => {
    const bytes = packBatch(records("a"));
    bytes[10] = (bytes[10] ?? 0) ^ 1;
    throws(() => unpackBatch(bytes), { code: "batch_invalid" });
    throws(() => unpackBatch(new Uint8Array(2)), { code: "batch_invalid" });
  });
});
