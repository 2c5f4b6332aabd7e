/** Load shedding in simulated time: each turn of a loop serves what came during the one before it. */
import { ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { SHED_INTERVAL_MS, SHED_PROBE_MS, SWEEP_INTERVAL_MS } from "../../src/base/limits.ts";
import { Shedder } from "../../src/pipeline/shedder.ts";

const DELAY_MS = 100;
/** Of it, for what is served while requests are shed. */
const TURN_MS = 20;
/** Of an answer, from its request's arrival. */
const BOUND_MS = 1_000;

interface Load {
  /** Arrivals over what could be served. */
  readonly times: number;
  /** What a request costs, and one that is refused, milliseconds. */
  readonly costMs: number;
  readonly refusedMs: number;
}

interface Outcome {
  /** Of the time, for answers within the bound. */
  readonly goodput: number;
  readonly longestTurnMs: number;
  /** How long each took, milliseconds. */
  readonly turns: readonly number[];
  readonly refused: number;
}

function shedderOf(delayMs: number): Shedder {
  const shedder = new Shedder();
  shedder.delayMs = delayMs;
  return shedder;
}

class Loop {
  readonly shedder = shedderOf(DELAY_MS);
  nowMs = 1_000;
  #measures = false;
  #sweepMs = 0;
  #arrived = 0;

  /** For so long, of which the first seconds do not count. */
  run({ times, costMs, refusedMs }: Load, seconds: number, settleSeconds = 3): Outcome {
    const countMs = this.nowMs + settleSeconds * 1_000;
    const endMs = this.nowMs + seconds * 1_000;
    const turns: number[] = [];
    let [goodMs, refused, lastTurnMs] = [0, 0, 1];
    while (this.nowMs < endMs) {
      this.#sweep();
      const beganMs = this.nowMs;
      for (let left = Math.floor(this.#arrived); left > 0; left -= 1) {
        const refuses = this.shedder.refuses(this.nowMs);
        this.nowMs += refuses ? refusedMs : costMs;
        if (this.nowMs < countMs) continue;
        if (refuses) refused += 1;
        else if (this.nowMs - beganMs + lastTurnMs < BOUND_MS) goodMs += costMs;
      }
      if (this.#arrived < 1) this.nowMs += 1;
      lastTurnMs = this.nowMs - beganMs;
      if (beganMs >= countMs) turns.push(lastTurnMs);
      this.#arrived = (this.#arrived % 1) + (lastTurnMs * times) / costMs;
      if (this.#measures) this.#measures = this.shedder.end(this.nowMs);
    }
    return { goodput: goodMs / (this.nowMs - countMs), longestTurnMs: Math.max(...turns), turns, refused };
  }

  #sweep(): void {
    if (this.#measures || this.nowMs < this.#sweepMs) return;
    this.#sweepMs = this.nowMs + SWEEP_INTERVAL_MS;
    this.shedder.begin(this.nowMs);
    this.#measures = true;
  }
}

const STREAM = { costMs: 0.5, refusedMs: 0.008 };

test("what can be served is never refused", () => {
  for (const times of [0.1, 0.5, 0.9, 0.99]) {
    strictEqual(new Loop().run({ times, ...STREAM }, 30).refused, 0, `${times}`);
  }
});

test("of what is too much, as much is refused as has to be: turns stay short, and the time goes to answers", () => {
  for (const times of [1.05, 1.5, 2, 3, 5]) {
    const { goodput, longestTurnMs, refused } = new Loop().run({ times, ...STREAM }, 30);
    ok(goodput >= 0.9, `${times} times: ${goodput}`);
    ok(longestTurnMs <= 1.2 * DELAY_MS, `${times} times: ${longestTurnMs} ms`);
    ok(refused > 0);
  }
});

test("as well as it can be done, also where a refusal is a large part of a request", () => {
  for (const [times, costMs] of [
    [1.5, 0.02],
    [3, 0.1],
    [10, 0.5],
  ] as const) {
    const refusedMs = 0.006;
    const best = (1 - (times * refusedMs) / costMs) / (1 - refusedMs / costMs);
    const { goodput } = new Loop().run({ times, costMs, refusedMs }, 30);
    ok(goodput >= 0.97 * best, `${times} times ${costMs} ms: ${goodput} of ${best}`);
  }
});

test("when the load is gone nothing is refused any more, and when it comes again, all is as before", () => {
  const loop = new Loop();
  for (let round = 0; round < 3; round += 1) {
    ok(loop.run({ times: 3, ...STREAM }, 10).goodput >= 0.9);
    ok(loop.shedder.sheds);
    const calm = loop.run({ times: 0.5, ...STREAM }, 10, 1);
    strictEqual(calm.refused, 0);
    ok(!loop.shedder.sheds);
  }
});

test("one short turn does not end it, and half a second without a refusal does", () => {
  const shedder = shedderOf(DELAY_MS);
  shedder.begin(1_000);
  for (let atMs = 1_000; atMs < 2_000; atMs += 0.5) shedder.refuses(atMs);
  ok(shedder.end(2_000));
  ok(shedder.end(2_001));
  ok(shedder.refuses(2_001 + DELAY_MS));
  ok(!shedder.refuses(2_001 + TURN_MS));
  let atMs = 2_001 + DELAY_MS;
  let turns = 0;
  while (shedder.end(atMs)) {
    ok(!shedder.refuses(atMs + TURN_MS));
    atMs += 10;
    turns += 1;
  }
  strictEqual(turns, SHED_INTERVAL_MS / 10);
  ok(!shedder.sheds);
});

test("while requests are shed turns are short, so who is served waits little", () => {
  const { turns } = new Loop().run({ times: 3, ...STREAM }, 30);
  const short = turns.filter((lastedMs) => lastedMs <= 2 * TURN_MS);
  ok(short.length >= 0.98 * turns.length, `${short.length} of ${turns.length}`);
});

/** Who was refused asks again at once, in the next turn; so does who was answered. */
function crowd(shedder: Shedder, fromMs: number, clients: number, endMs: number): { atMs: number; refused: number } {
  let [atMs, refused] = [fromMs, 0];
  shedder.begin(atMs);
  while (atMs < endMs && shedder.sheds) {
    for (let i = 0; i < clients; i += 1) {
      const refuses = shedder.refuses(atMs);
      atMs += refuses ? STREAM.refusedMs : STREAM.costMs;
      if (refuses) refused += 1;
    }
    shedder.end(atMs);
  }
  return { atMs, refused };
}

test("clients that ask again at once are all served in the end, if a turn has room for all of them", () => {
  const loop = new Loop();
  loop.run({ times: 3, ...STREAM }, 10);
  ok(loop.shedder.sheds);
  const room = (DELAY_MS * 0.5) / STREAM.costMs;
  const { atMs, refused } = crowd(loop.shedder, loop.nowMs, room - 1, loop.nowMs + 60_000);
  ok(!loop.shedder.sheds);
  ok(refused > 0);
  ok(atMs - loop.nowMs <= SHED_PROBE_MS + 2 * SHED_INTERVAL_MS, `${atMs - loop.nowMs} ms`);
});

test("if a turn has not, it goes on", () => {
  const loop = new Loop();
  loop.run({ times: 3, ...STREAM }, 10);
  const clients = 2 * (DELAY_MS / STREAM.costMs);
  crowd(loop.shedder, loop.nowMs, clients, loop.nowMs + 60_000);
  ok(loop.shedder.sheds);
});

test("a pause, or long turns for less than half a second, refuse nobody", () => {
  const shedder = shedderOf(DELAY_MS);
  let atMs = 1_000;
  for (let round = 0; round < 20; round += 1) {
    shedder.begin(atMs);
    for (let i = 0; i < 1_000; i += 1) ok(!shedder.refuses(atMs + i * 0.4));
    ok(shedder.end(atMs + 400));
    ok(!shedder.end(atMs + 405));
    atMs += 500;
  }
});

test("few requests in a process that stands still are not shed", () => {
  const shedder = shedderOf(DELAY_MS);
  shedder.begin(1_000);
  for (let atMs = 1_000; atMs < 20_000; atMs += 300) {
    ok(!shedder.refuses(atMs + 290));
    ok(shedder.end(atMs + 300));
  }
});

test("nothing is shed where that is off, also when it is turned off meanwhile", () => {
  const shedder = shedderOf(0);
  const flood = (fromMs: number) => {
    let refused = 0;
    for (let i = 0; i < 4_000; i += 1) if (shedder.refuses(fromMs + i / 2)) refused += 1;
    return refused;
  };
  shedder.begin(1_000);
  strictEqual(flood(1_000), 0);
  ok(!shedder.end(3_000));
  shedder.delayMs = DELAY_MS;
  shedder.begin(3_000);
  ok(flood(3_000) > 0);
  ok(shedder.end(5_000));
  shedder.delayMs = 0;
  strictEqual(flood(5_000), 0);
  ok(!shedder.end(5_001));
});
