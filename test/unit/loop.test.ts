/** That a loop can be told not to measure its idle time, and still waits and wakes. */
import { ok, strictEqual } from "node:assert/strict";
import { performance } from "node:perf_hooks";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { native } from "../../src/native/native.ts";

const WAITED_MS = 5;

/** What is said to have been idle of a time in which nothing happens. */
async function idle(): Promise<number> {
  const before = performance.nodeTiming.idleTime;
  await delay(WAITED_MS);
  return performance.nodeTiming.idleTime - before;
}

test("idle time is measured until a loop forgoes it, and nothing else changes", async () => {
  await idle();
  ok((await idle()) > 0);
  strictEqual(native.forgoIdleTime(), true);
  strictEqual(await idle(), 0);
  strictEqual(native.forgoIdleTime(), true);
  strictEqual(await idle(), 0);
});
