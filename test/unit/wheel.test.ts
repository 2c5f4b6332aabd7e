/** The timer wheel: everything is looked at when it is due and not before, and deadlines are found as by a look at all. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { BODY_IDLE_MS_MAX, SWEEP_INTERVAL_MS } from "../../src/base/limits.ts";
import { lookMs, overdue } from "../../src/pipeline/deadlines.ts";
import {
  type Exchange,
  PHASE_BODY,
  PHASE_CONNECTING,
  PHASE_FLUSHING,
  PHASE_OVER,
  PHASE_QUEUED,
  PHASE_SENT,
  PHASE_STREAMING,
} from "../../src/pipeline/exchange.ts";
import { Wheel } from "../../src/pipeline/wheel.ts";
import { exchangeOf, SeenDown, snapshotOf } from "../support/exchange.ts";

const TICK = SWEEP_INTERVAL_MS;
/** Longer than a round. */
const LONG_MS = 1_000 * TICK;

class Item {
  slot = -1;
  place = -1;
  looks = 0;
  dueMs: number;

  constructor(dueMs: number) {
    this.dueMs = dueMs;
  }
}

test("an item is handed out at the turn of its time, again when it is due again, and not once it was removed", () => {
  const wheel = new Wheel<Item>(0);
  const item = new Item(5 * TICK);
  wheel.add(item, item.dueMs);
  const seen: number[] = [];
  for (let now = 0; now <= 20 * TICK; now += TICK) {
    wheel.turn(now, (due) => {
      seen.push(now / TICK);
      due.dueMs += 7 * TICK;
      if (due.looks++ === 1) wheel.remove(due);
      return due.dueMs;
    });
  }
  deepStrictEqual(seen, [5, 12]);
  deepStrictEqual([wheel.size, wheel.remove(item), wheel.items()], [0, false, []]);
});

test("what is due at once, or was due long ago, is handed out at the next turn, once per turn", () => {
  const wheel = new Wheel<Item>(LONG_MS);
  const item = new Item(0);
  wheel.add(item, item.dueMs);
  for (let turns = 1; turns <= 300; turns += 1) {
    wheel.turn(LONG_MS + turns * TICK, () => {
      item.looks += 1;
      return 0;
    });
    strictEqual(item.looks, turns);
  }
});

test("what is due later than a round takes is never handed out late, however late a turn is", () => {
  const wheel = new Wheel<Item>(0);
  const items = Array.from({ length: 500 }, (_, i) => new Item(i * 3 * TICK));
  for (const item of items) wheel.add(item, item.dueMs);
  let now = 0;
  for (const step of [1, 1, 50, 127, 128, 129, 3, 400, 1_000]) {
    now += step * TICK;
    wheel.turn(now, (item) => {
      if (item.dueMs <= now) wheel.remove(item);
      return item.dueMs;
    });
    deepStrictEqual(
      wheel
        .items()
        .map(({ dueMs }) => dueMs)
        .sort((a, b) => a - b),
      items.map(({ dueMs }) => dueMs).filter((dueMs) => dueMs > now),
    );
  }
});

test("a look may remove others of the same slot", () => {
  const wheel = new Wheel<Item>(0);
  const items = Array.from({ length: 9 }, () => new Item(TICK));
  for (const item of items) wheel.add(item, item.dueMs);
  const looked = new Set<Item>();
  wheel.turn(TICK, (item) => {
    looked.add(item);
    for (const other of items) if (other !== item && other.slot !== -1 && wheel.size > 4) wheel.remove(other);
    return 2 * TICK;
  });
  strictEqual(wheel.size, 4);
  ok(wheel.items().every((item) => looked.has(item)));
});

/** A fixed sequence, so that a failure can be repeated. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const PHASES = [PHASE_BODY, PHASE_QUEUED, PHASE_CONNECTING, PHASE_SENT, PHASE_STREAMING, PHASE_FLUSHING, PHASE_OVER];

/** A request that begins, moves on, stalls and ends by chance. */
function moveByChance(exchange: Exchange, nowMs: number, random: (below: number) => number): void {
  if (random(3) > 0) exchange.progressMs = nowMs;
  else exchange.enter(PHASES[random(PHASES.length)] ?? PHASE_OVER, nowMs);
  if (exchange.down instanceof SeenDown) exchange.down.blocked = random(2) === 0;
}

interface Timing {
  readonly connectMs: number;
  readonly queueMs: number;
  readonly firstByteMs: number;
  readonly idleMs: number;
  readonly stallMs: number;
  readonly totalMs: number;
}

/** Both find the same exchanges overdue in the same turn, and with the same row. */
function compareWithSweep(timing: Timing, seed: number): { found: number; looks: number; visits: number } {
  const random = randomFrom(seed);
  const snapshot = snapshotOf({ timeouts: { drainMs: 1, upstreamKeepAliveMs: 1, ...timing } });
  const wheel = new Wheel<Exchange>(0);
  const inFlight = new Set<Exchange>();
  const counts = { found: 0, looks: 0, visits: 0 };
  for (let tickMs = 0; tickMs < 2_000 * TICK; tickMs += TICK + random(TICK)) {
    const expected = [...inFlight].filter((exchange) => overdue(exchange, tickMs) !== null);
    counts.visits += inFlight.size;
    const found: Exchange[] = [];
    wheel.turn(tickMs, (exchange) => {
      counts.looks += 1;
      if (overdue(exchange, tickMs) !== null) {
        found.push(exchange);
        wheel.remove(exchange);
      }
      return lookMs(exchange, tickMs);
    });
    deepStrictEqual(new Set(found), new Set(expected), `turn at ${tickMs}`);
    for (const exchange of found) inFlight.delete(exchange);
    counts.found += found.length;
    for (const exchange of inFlight) {
      if (random(50) === 0) moveByChance(exchange, tickMs, random);
      if (random(200) > 0) continue;
      strictEqual(wheel.remove(exchange), true);
      inFlight.delete(exchange);
    }
    for (let more = random(4); more > 0; more -= 1) {
      const exchange = exchangeOf({ snapshot, down: new SeenDown() });
      Object.assign(exchange, { startedMs: tickMs, progressMs: tickMs });
      inFlight.add(exchange);
      wheel.add(exchange, lookMs(exchange, tickMs));
    }
    strictEqual(wheel.size, inFlight.size);
  }
  return counts;
}

const LIVELY: Timing = {
  connectMs: 4_000,
  queueMs: 2_000,
  firstByteMs: 7_000,
  idleMs: 5_000,
  stallMs: 3_000,
  totalMs: 20_000,
};
const SHORT: Timing = { connectMs: 80, queueMs: 1, firstByteMs: 90, idleMs: 100, stallMs: 101, totalMs: 1_000 };
const PATIENT: Timing = {
  connectMs: 10_000,
  queueMs: 5_000,
  firstByteMs: 60_000,
  idleMs: 30_000,
  stallMs: BODY_IDLE_MS_MAX,
  totalMs: 90_000,
};

for (const [name, timing] of Object.entries({ LIVELY, SHORT, PATIENT })) {
  test(`deadlines are found in the turn in which a look at everything finds them: ${name.toLowerCase()} timeouts`, () => {
    for (let seed = 1; seed <= 5; seed += 1) {
      const { found, looks, visits } = compareWithSweep(timing, seed);
      ok(found > 100, `${found} deadlines were met`);
      if (timing !== SHORT) ok(looks * 8 < visits, `${looks} looks instead of ${visits}`);
    }
  });
}
