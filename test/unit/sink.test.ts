/** What sinks say when they cannot write. */
import { deepEqual, equal } from "node:assert/strict";
import { openSync } from "node:fs";
import { test } from "node:test";
import { reasonLabel, reasonOf } from "../../src/telemetry/sinks/sink.ts";

function errorOf(act: () => unknown): unknown {
  try {
    return act();
  } catch (error) {
    return error;
  }
}

test("a reason has the errno once, in front", () => {
  const opened = reasonOf(errorOf(() => openSync("/nowhere/x", "r")));
  equal(opened, "ENOENT: no such file or directory, open '/nowhere/x'");
  const locked = Object.assign(new Error("database is locked"), { code: "ERR_SQLITE_ERROR" });
  equal(reasonOf(locked), "ERR_SQLITE_ERROR: database is locked");
  deepEqual([reasonOf(new Error("bare")), reasonOf("text")], ["bare", "text"]);
});

test("its label is the errno, or other", () => {
  deepEqual(["ENOSPC: no space", "bare", "E: x"].map(reasonLabel), ["ENOSPC", "other", "other"]);
});
