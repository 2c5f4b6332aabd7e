/** The map of arms: which slot is whose, over starts, and what becomes of slots that nobody wants. */
import { deepEqual, equal, notEqual, throws } from "node:assert/strict";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ARMS_MAX } from "../../src/base/limits.ts";
import { ARM_AT, openArms, prepareArms } from "../../src/shm/arms.ts";

function newDataDir(): string {
  return mkdtempSync(join(tmpdir(), "sluice-arms-"));
}

test("an arm keeps its slot and what is in it, whatever comes and goes beside it, over starts", () => {
  const dataDir = newDataDir();
  const first = prepareArms(dataDir).number(["a", "b"]);
  openArms(dataDir).wordsOf(first)("b")[ARM_AT.gate] = 1;
  const second = prepareArms(dataDir).number(["c", "b"]);
  equal(second.get("b"), first.get("b"));
  notEqual(second.get("c"), first.get("a"));
  equal(openArms(dataDir).wordsOf(second)("b")[ARM_AT.gate], 1);
  equal(prepareArms(dataDir).number(["a"]).get("a"), first.get("a"));
});

test("where there is no empty slot, one that no arm has any more is begun anew", () => {
  const dataDir = newDataDir();
  const map = prepareArms(dataDir);
  const all = Array.from({ length: ARMS_MAX }, (_, i) => `arm ${i}`);
  const slots = map.number(all);
  equal(new Set(slots.values()).size, ARMS_MAX);
  map.wordsOf(slots)("arm 7").fill(5);
  const next = map.number(["new", ...all.filter((name) => name !== "arm 7")]);
  equal(next.get("new"), slots.get("arm 7"));
  deepEqual(new Set(map.wordsOf(next)("new").subarray(2)), new Set([0]));
  equal(next.get("arm 8"), slots.get("arm 8"));
});

test("an arm beyond the last slot counts for itself", () => {
  const map = prepareArms(newDataDir());
  const words = map.wordsOf(new Map());
  notEqual(words("x"), words("x"));
});

test("a file of another layout is made anew, and not opened by a worker", () => {
  const dataDir = newDataDir();
  writeFileSync(join(dataDir, "arms.map"), "something else");
  throws(() => openArms(dataDir), { code: "arms_invalid" });
  prepareArms(dataDir);
  equal(openArms(dataDir).wordsOf(new Map())("x").length > 0, true);
});
