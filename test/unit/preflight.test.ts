/** Sinks that cannot be written are found at start. */
import { match, throws } from "node:assert/strict";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { CodedError } from "../../src/base/errors.ts";
import { requireSinks } from "../../src/telemetry/preflight.ts";

function isRefusal(code: string, text: RegExp): (error: unknown) => boolean {
  return (error) => {
    match(error instanceof CodedError ? `${error.code}: ${error.message}` : String(error), text);
    return error instanceof CodedError && error.code === code;
  };
}

test("a new data directory and a log in a new folder are fine", () => {
  const dir = mkdtempSync(join(tmpdir(), "sluice-preflight-"));
  requireSinks(dir, join(dir, "logs", "access.ndjson"));
  requireSinks(dir, null);
});

test("a database that is none is named, with what to do", () => {
  const dir = mkdtempSync(join(tmpdir(), "sluice-preflight-"));
  writeFileSync(join(dir, "usage.db"), "not a database, and longer than its header would be".repeat(100));
  throws(() => requireSinks(dir, null), isRefusal("store_unusable", /usage\.db cannot be used: .*Restore a backup/));
});

test("an access log that cannot be written is named with its setting", () => {
  const dir = mkdtempSync(join(tmpdir(), "sluice-preflight-"));
  mkdirSync(join(dir, "log"));
  throws(() => requireSinks(dir, join(dir, "log")), isRefusal("access_log_unusable", /access_log\.path/));
});
