/** The maps of slots: who gets which, what outlives a restart, and what is left of a process that was killed while it wrote. */
import { deepStrictEqual, notStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { nowMs, wallMs } from "../../src/base/clock.ts";
import { HEDGE_SAMPLES_MIN, TARGET_SLOTS_MAX, WAIT_BUCKETS } from "../../src/base/limits.ts";
import { headroom, report, spend, UNTOLD } from "../../src/pipeline/headroom.ts";
import { latencyMs, observe } from "../../src/pipeline/latency.ts";
import { tickOf } from "../../src/pipeline/machine-ticks.ts";
import { noteWait, waitAt } from "../../src/pipeline/waits.ts";
import { openSlots, prepareSlots, type SlotsForm } from "../../src/shm/slots-map.ts";
import { openTargets, prepareTargets, TARGET_AT, WAITS_AT } from "../../src/shm/targets.ts";
import { directoryOf } from "../support/limits.ts";

const FORM: SlotsForm = { name: "some", magic: 7, version: 1, words: 16 };
const KILLS = 5;
const SLOW_MS = 100_000;
const CHILD = new URL("../support/targets-child.ts", import.meta.url).pathname;

/** As many as there are before they are halved, and those until somebody looks again, where two died that did. */
const WAITS_MOST = 1_024 + 3 * 512;

function sumOfWaits(slot: Int32Array, at: number): number {
  const first = at + WAITS_AT.buckets;
  return slot.subarray(first, first + WAIT_BUCKETS).reduce((sum, count) => sum + count, 0);
}

test("each name has a slot of its own, which is the same for everybody, and none of another's words", (context) => {
  const dataDir = directoryOf(context);
  const made = prepareSlots(dataDir, FORM, false);
  const opened = openSlots(dataDir, FORM, "some_invalid");
  const names = Array.from({ length: 500 }, (_, i) => `name-${i}`);
  for (const [i, name] of names.entries()) made.slotOf(name).fill(i + 1, 2);
  deepStrictEqual(
    names.map((name) => [...opened.slotOf(name).subarray(2)]),
    names.map((_, i) => Array.from({ length: 14 }, () => i + 1)),
  );
});

test("where there is no room for a name, its slot is the caller's own", (context) => {
  const map = prepareSlots(directoryOf(context), FORM, false);
  for (let i = 0; i < TARGET_SLOTS_MAX; i += 1) map.slotOf(`name-${i}`);
  const slot = map.slotOf("one more");
  deepStrictEqual([slot.length, slot.some((word) => word !== 0)], [16, false]);
  notStrictEqual(map.slotOf("one more").buffer, slot.buffer);
});

test("a program that takes over goes on with what is there; a start, or another layout, begins anew", (context) => {
  const dataDir = directoryOf(context);
  const wordOf = (form: SlotsForm, goesOn: boolean) => prepareSlots(dataDir, form, goesOn).slotOf("a")[2];
  prepareSlots(dataDir, FORM, false).slotOf("a")[2] = 5;
  strictEqual(wordOf(FORM, true), 5);
  const former = openSlots(dataDir, FORM, "some_invalid").slotOf("a");
  strictEqual(wordOf({ ...FORM, version: 2 }, true), 0);
  former[2] = 6;
  strictEqual(wordOf({ ...FORM, version: 2 }, true), 0);
  throws(() => openSlots(dataDir, FORM, "some_invalid"), { code: "some_invalid" });
  strictEqual(wordOf(FORM, false), 0);
  writeFileSync(join(dataDir, "some.map"), "short");
  strictEqual(wordOf(FORM, true), 0);
  strictEqual(readFileSync(join(dataDir, "some.map")).readUInt32LE(0), 7);
});

test(`of ${KILLS} pairs of workers that are killed while they learn, what is left is sound, and the next one goes on with it`, async (context) => {
  const dataDir = directoryOf(context);
  prepareTargets(dataDir, false);
  const slot = openTargets(dataDir).slotOf("main", "m");
  for (let kill = 0; kill < KILLS; kill += 1) {
    const pair = [0, 1].map(() => spawn(process.execPath, ["--disable-warning=ExperimentalWarning", CHILD, dataDir]));
    for (const child of pair) context.after(() => child.kill("SIGKILL"));
    await Promise.all(pair.map((child) => once(child.stdout, "data")));
    for (const child of pair) {
      child.kill("SIGKILL");
      await once(child, "close");
    }
    const now = tickOf(wallMs(nowMs()));
    const ms = latencyMs(slot, TARGET_AT.whole, now);
    ok(ms > 0 && ms <= (kill === 0 ? 1_050 : SLOW_MS * 1.05), `${ms} ms`);
    const share = headroom(slot, 0, now);
    ok(share >= 0 && share <= 1, `${share} left`);
    observe(slot, TARGET_AT.whole, SLOW_MS, now);
    report(
      slot,
      TARGET_AT.requests,
      { limit: 1_000, remaining: 300, resetMs: 5_000 },
      spend(slot, TARGET_AT.requests, 1),
      now,
    );
    const [after, left] = [latencyMs(slot, TARGET_AT.whole, now), headroom(slot, 0, now)];
    ok(Math.abs(after - SLOW_MS) < SLOW_MS / 100, `${after} ms`);
    strictEqual(left, 0.3);
    const waitMs = waitAt(slot, TARGET_AT.waits, 95);
    ok(waitMs >= 100 && waitMs <= 120, `${waitMs} ms`);
    const waits = sumOfWaits(slot, TARGET_AT.waits);
    ok(waits <= WAITS_MOST, `${waits} waits`);
  }
  strictEqual(headroom(openTargets(dataDir).slotOf("main", "another"), 0, 1), UNTOLD);
});

test("the p95 of waits is that of all workers: each sees at once what the others note, apart for streams, and after a restart", (context) => {
  const dataDir = directoryOf(context);
  prepareTargets(dataDir, false);
  const [one, other] = [0, 1].map(() => openTargets(dataDir).slotOf("main", "m"));
  ok(one !== undefined && other !== undefined);
  const { waits, streamWaits } = TARGET_AT;
  for (let i = 0; i < HEDGE_SAMPLES_MIN; i += 1) noteWait(i % 2 === 0 ? one : other, waits, 40);
  deepStrictEqual([waitAt(one, waits, 95), waitAt(one, streamWaits, 95)], [waitAt(other, waits, 95), Infinity]);
  ok(waitAt(one, waits, 95) >= 40 && waitAt(one, waits, 95) <= 48);
  for (let i = 0; i < HEDGE_SAMPLES_MIN; i += 1) noteWait(other, waits, 4_000);
  prepareTargets(dataDir, true);
  const after = waitAt(openTargets(dataDir).slotOf("main", "m"), waits, 95);
  deepStrictEqual([waitAt(one, waits, 95), after >= 4_000 && after <= 4_800], [after, true]);
});
