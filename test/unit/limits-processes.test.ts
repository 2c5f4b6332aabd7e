/** The map of limits in several processes: exact over all of them, and sound whatever becomes of one. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { openSync, readdirSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ERRORS } from "../../src/base/errors.ts";
import { native } from "../../src/native/native.ts";
import { Limiter } from "../../src/pipeline/limit.ts";
import { LIMIT_ADMITTED, LIMIT_AT, LIMIT_BUSY, LIMIT_REFUSED, prepareLimits } from "../../src/shm/limits.ts";
import { exchangeOf, snapshotOf } from "../support/exchange.ts";
import { admit, DAY_MS, directoryOf, HELD_TIME_MS, LimitsChild, ruleOf, ticketOf } from "../support/limits.ts";

const ADMISSIONS = 1_000_000;
const LEASE_MS = 60_000;
const BOOT_ID_AT = 40;
const ROUNDS = 12;

test("two workers of two generations, a million admissions each, admit exactly as many as the limits allow", async (context) => {
  const dataDir = directoryOf(context);
  prepareLimits(dataDir);
  const limit = 2_500_000;
  const rules = [
    ruleOf({ name: "rate", limit, periodMs: DAY_MS }),
    ruleOf({ name: "wide", scope: [], limit: limit * 2, periodMs: DAY_MS }),
    ruleOf({ name: "window", kind: "window", limit: limit * 2, periodMs: DAY_MS }),
  ];
  const start = (slot: number) => LimitsChild.start(context, dataDir, slot, rules, String(ADMISSIONS));
  const first = await Promise.all([start(0), start(1)]);
  const ends = first.map((child) => child.finish());
  const second = await Promise.all([start(2), start(3)]);
  ends.push(...second.map((child) => child.finish()));
  const admitted = (await Promise.all(ends)).map(Number);
  strictEqual(
    admitted.reduce((a, b) => a + b, 0),
    limit,
    admitted.join(" + "),
  );
  const map = prepareLimits(dataDir);
  map.configure(rules, LEASE_MS);
  strictEqual(map.tallies()[0]?.rejected, 4 * ADMISSIONS - limit);
});

test("a process that is killed with the lock leaves it to the next one, and its permits with it", async (context) => {
  const dataDir = directoryOf(context);
  const held = ruleOf({ quantity: "concurrency", kind: "held", limit: 2, burst: 2, periodMs: 0 });
  const map = prepareLimits(dataDir);
  map.configure([held], LEASE_MS);
  const key = map.subject("key", "one");
  const holder = await LimitsChild.start(context, dataDir, 5, [held], "admit");
  const locker = await LimitsChild.start(context, dataDir, 6, [held], "lock");
  strictEqual(admit(map, key), LIMIT_BUSY);
  await locker.kill();
  deepStrictEqual([admit(map, key), admit(map, key)], [LIMIT_ADMITTED, LIMIT_REFUSED]);
  strictEqual(map.state().recoveries, 1);
  await holder.kill();
  strictEqual(admit(map, key), LIMIT_REFUSED);
  map.leaveSlot(5, holder.pid);
  strictEqual(admit(map, key), LIMIT_ADMITTED);
});

test("the permits of a worker come back to the next holder of its slot", async (context) => {
  const dataDir = directoryOf(context);
  const held = ruleOf({ quantity: "concurrency", kind: "held", limit: 1, burst: 1, periodMs: 0 });
  prepareLimits(dataDir);
  const first = await LimitsChild.start(context, dataDir, 0, [held], "admit");
  await first.kill();
  const second = await LimitsChild.start(context, dataDir, 0, [held], "admit");
  strictEqual(await second.finish(), String(LIMIT_ADMITTED));
});

test("workers that are killed at any moment lose no permit and no more than a request's charge", async (context) => {
  const dataDir = directoryOf(context);
  const limit = 1_000_000_000;
  const rules = [
    ruleOf({ name: "held", quantity: "concurrency", kind: "held", limit: 4, burst: 4, periodMs: 0 }),
    ruleOf({ name: "first", kind: "window", limit, burst: limit, periodMs: DAY_MS }),
    ruleOf({ name: "second", kind: "window", limit, burst: limit, periodMs: DAY_MS }),
  ];
  const map = prepareLimits(dataDir);
  map.configure(rules, LEASE_MS);
  // The time of the other process: a window that is over is not counted on.
  native.limitsHoldTime(HELD_TIME_MS);
  context.after(() => native.limitsHoldTime(-1));
  const key = map.subject("key", "one");
  for (let round = 0; round < ROUNDS; round += 1) {
    const child = await LimitsChild.start(context, dataDir, 0, rules, "1000000000");
    const end = child.finish();
    // Some thousand admissions of ours while it runs, then it is killed wherever it is.
    for (let i = 0; i < 2_000 * (round + 1); i += 1) {
      if (admit(map, key) === LIMIT_ADMITTED) map.settle(ticketOf(map), 0, 0, 0);
    }
    await child.kill();
    await end;
    map.leaveSlot(0, child.pid);
    // All four permits are there.
    const tickets = Array.from({ length: 4 }, () => {
      strictEqual(admit(map, key), LIMIT_ADMITTED, `round ${round}`);
      return ticketOf(map);
    });
    strictEqual(admit(map, key), LIMIT_REFUSED);
    for (const ticket of tickets) map.settle(ticket, 0, 0, 0);
  }
  // Both windows count the same requests, but for one at most of each that was killed.
  const usedOf = (index: number) => {
    map.configure(rules.slice(index, index + 1), LEASE_MS);
    strictEqual(admit(map, key), LIMIT_ADMITTED);
    return limit - (map.fields[LIMIT_AT.requests + 1] ?? 0);
  };
  const [first, second] = [usedOf(1), usedOf(2)];
  ok(first > ROUNDS && Math.abs(first - second) <= ROUNDS, `${first} and ${second}`);
});

test("after a boot nobody holds the lock or a permit, and what was used stays", async (context) => {
  const dataDir = directoryOf(context);
  const rules = [
    ruleOf({ name: "held", quantity: "concurrency", kind: "held", limit: 1, burst: 1, periodMs: 0 }),
    ruleOf({ name: "rate", limit: 2, periodMs: DAY_MS }),
  ];
  let map = prepareLimits(dataDir);
  map.configure(rules, LEASE_MS);
  const holder = await LimitsChild.start(context, dataDir, 0, rules, "admit");
  const locker = await LimitsChild.start(context, dataDir, 1, rules, "lock");
  await holder.kill();
  // Of another boot, which this one knows nothing of.
  writeSync(openSync(join(dataDir, "limits.map"), "r+"), Buffer.alloc(16, 7), 0, 16, BOOT_ID_AT);
  map = prepareLimits(dataDir);
  map.configure(rules, LEASE_MS);
  const key = map.subject("key", "one");
  strictEqual(admit(map, key), LIMIT_ADMITTED);
  map.settle(ticketOf(map), 0, 0, 0);
  strictEqual(admit(map, key), LIMIT_REFUSED);
  strictEqual(map.fields[LIMIT_AT.requests + 1], 0);
  await locker.kill();
});

test("a map of another layout is put aside, and a new one made", (context) => {
  const dataDir = directoryOf(context);
  const path = join(dataDir, "limits.map");
  const other = Buffer.alloc(8_192, 1);
  writeFileSync(path, other);
  const map = prepareLimits(dataDir);
  map.configure([ruleOf()], LEASE_MS);
  strictEqual(admit(map, map.subject("key", "one")), LIMIT_ADMITTED);
  deepStrictEqual(readdirSync(dataDir).sort(), ["limits.map", "limits.map.old"]);
  ok(readFileSync(`${path}.old`).subarray(0, 8_192).equals(other));
});

test("without the lock a request is refused as one that may come again", async (context) => {
  const dataDir = directoryOf(context);
  const snapshot = snapshotOf({ limits: [ruleOf({ scope: [] })] });
  const limiter = new Limiter(prepareLimits(dataDir), () => {});
  limiter.configure(snapshot);
  const exchange = exchangeOf({ snapshot });
  strictEqual(limiter.admit(exchange), null);
  const locker = await LimitsChild.start(context, dataDir, 0, [], "lock");
  strictEqual(limiter.admit(exchange), ERRORS.limitsUnavailable);
  await locker.kill();
  strictEqual(limiter.admit(exchange), null);
});
