/** The breaker: closed, open, half-open, by all workers on one slot; any order of what may happen, by seeds. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { BREAKER_WORDS } from "../../src/base/limits.ts";
import type { BreakerRules } from "../../src/config/snapshot.ts";
import {
  BLOCKED,
  enterBreaker,
  fail,
  forgo,
  isClosed,
  PASSES,
  PROBES,
  spoil,
  succeed,
} from "../../src/pipeline/breaker.ts";
import { BREAKER_AT } from "../../src/shm/breakers.ts";
import { Random } from "../fuzz/random.ts";

const RULES: BreakerRules = {
  enabled: true,
  failures: 3,
  errorPercent: 50,
  requests: 10,
  windowMs: 5_000,
  cooldownMs: 1_000,
  cooldownMaxMs: 4_000,
};
const START = 1.8e12;

class Subject {
  readonly slot = new Int32Array(BREAKER_WORDS);
  atMs: number;

  constructor(atMs = START) {
    this.atMs = atMs;
  }

  enter(): number {
    return enterBreaker(this.slot, this.atMs, RULES);
  }

  fail(probe = false, retryAfterMs = 0): boolean {
    return fail(this.slot, this.atMs, RULES, probe, retryAfterMs, 0.5);
  }

  succeed(probe = false): boolean {
    return succeed(this.slot, this.atMs, RULES, probe);
  }

  /** An answer that begins and breaks off. */
  breakOff(): boolean {
    this.succeed();
    return spoil(this.slot, this.atMs, RULES, 0.5);
  }

  /** Opens it, and waits until its probe may go. */
  cool(): this {
    for (let i = 0; i < RULES.failures; i += 1) this.fail();
    this.atMs += 1_020;
    return this;
  }
}

test("failures in a row open it, and a success between them does not let them count", () => {
  const subject = new Subject();
  deepStrictEqual(
    [subject.fail(), subject.fail(), subject.succeed(), subject.fail(), subject.fail()],
    Array(5).fill(false),
  );
  deepStrictEqual(
    [isClosed(subject.slot), subject.fail(), isClosed(subject.slot), subject.enter()],
    [true, true, false, BLOCKED],
  );
});

test("a share of failures opens it, once there were enough tries in the window", () => {
  const subject = new Subject();
  for (let i = 0; i < 4; i += 1) {
    strictEqual(subject.fail(), false);
    subject.succeed();
  }
  subject.succeed();
  strictEqual(subject.fail(), true);
  const other = new Subject();
  for (let i = 0; i < 40; i += 1) {
    strictEqual(other.fail(), false, `failure ${i}`);
    other.succeed();
    other.atMs += 1_300;
  }
});

test("answers that break off are failures of the window, each of one try", () => {
  const subject = new Subject();
  for (let i = 0; i < 4; i += 1) subject.succeed();
  for (let i = 0; i < 5; i += 1) strictEqual(subject.breakOff(), false, `answer ${i}`);
  strictEqual(subject.breakOff(), true);
  deepStrictEqual([subject.slot[BREAKER_AT.tries], subject.slot[BREAKER_AT.failures]], [10, 6]);
});

test("a provider's Retry-After opens it at once, for that long and no longer than the longest", () => {
  const subject = new Subject();
  strictEqual(subject.fail(false, 2_000), true);
  subject.atMs += 1_950;
  strictEqual(subject.enter(), BLOCKED);
  subject.atMs += 70;
  strictEqual(subject.enter(), PROBES);
  strictEqual(subject.fail(true, 3_600_000), true);
  subject.atMs += RULES.cooldownMaxMs + 20;
  strictEqual(subject.enter(), PROBES);
});

test("when it has cooled one request passes, whose success closes it", () => {
  const subject = new Subject().cool();
  deepStrictEqual([subject.enter(), subject.enter(), subject.enter()], [PROBES, BLOCKED, BLOCKED]);
  // Of tries that began before it opened.
  deepStrictEqual([subject.succeed(), subject.fail(), subject.enter()], [false, false, BLOCKED]);
  deepStrictEqual([subject.succeed(true), subject.enter(), subject.enter()], [true, PASSES, PASSES]);
  strictEqual(subject.fail(), false);
});

test("a probe that fails opens it for twice as long, up to the longest", () => {
  const subject = new Subject().cool();
  for (const waitMs of [2_000, 4_000, 4_000]) {
    strictEqual(subject.enter(), PROBES);
    strictEqual(subject.fail(true), true);
    subject.atMs += waitMs - 40;
    strictEqual(subject.enter(), BLOCKED);
    subject.atMs += 60;
  }
  strictEqual(subject.enter(), PROBES);
  strictEqual(subject.succeed(true), true);
});

test("a probe whose client left is another request's, and so is one that does not come back", () => {
  const subject = new Subject().cool();
  strictEqual(subject.enter(), PROBES);
  forgo(subject.slot);
  deepStrictEqual([subject.enter(), subject.enter()], [PROBES, BLOCKED]);
  subject.atMs += 1_020;
  deepStrictEqual([subject.enter(), subject.enter()], [PROBES, BLOCKED]);
});

test("a clock that was set back by days leaves nothing open for days", () => {
  const subject = new Subject().cool();
  subject.atMs -= 3 * 86_400_000;
  strictEqual(subject.enter(), PROBES);
});

test("times go round after 198 days", () => {
  const around = Math.ceil(START / (2 ** 30 * 16)) * 2 ** 30 * 16;
  const subject = new Subject(around - 500);
  for (let i = 0; i < RULES.failures; i += 1) subject.fail();
  strictEqual(subject.enter(), BLOCKED);
  subject.atMs += 600;
  strictEqual(subject.enter(), BLOCKED);
  subject.atMs += 500;
  strictEqual(subject.enter(), PROBES);
});

/** A provider that is down at times, and workers whose tries take a while, some of which never come back. */
function simulate(seed: number): { tries: number; triesWhileDown: number; downMs: number } {
  const random = new Random(seed);
  const subject = new Subject();
  const running: { endMs: number; probe: boolean }[] = [];
  let [down, tries, triesWhileDown, downMs, probing] = [false, 0, 0, 0, 0];
  for (let step = 0; step < 4_000; step += 1) {
    const stepMs = 1 + random.below(20);
    subject.atMs += stepMs;
    if (random.chance(0.003)) down = !down;
    if (down) downMs += stepMs;
    for (const one of running.filter(({ endMs }) => endMs <= subject.atMs)) {
      running.splice(running.indexOf(one), 1);
      if (one.probe) probing -= 1;
      if (one.probe && random.chance(0.1)) forgo(subject.slot);
      else if (down) subject.fail(one.probe);
      else subject.succeed(one.probe);
    }
    const entered = subject.enter();
    if (entered === BLOCKED) continue;
    strictEqual(entered === PROBES, !(entered === PASSES), `seed ${seed}`);
    tries += 1;
    if (down) triesWhileDown += 1;
    if (entered === PROBES) probing += 1;
    // Each answers within the time that a probe has.
    ok(probing <= 1, `seed ${seed}, step ${step}: ${probing} probes at a time`);
    running.push({ endMs: subject.atMs + random.below(900), probe: entered === PROBES });
  }
  return { tries, triesWhileDown, downMs };
}

test("a target that is down is hardly tried, one that is up is back soon, and there is one probe at a time, for any seed", () => {
  let [tries, whileDown, downMs] = [0, 0, 0];
  for (let seed = 1; seed <= 200; seed += 1) {
    const seen = simulate(seed);
    tries += seen.tries;
    whileDown += seen.triesWhileDown;
    downMs += seen.downMs;
  }
  ok(tries > 200_000, `${tries} tries`);
  // One in 10 ms arrives; those that were let through before the first failures came back are most of these.
  ok(whileDown < downMs / 10 / 4, `${whileDown} tries in ${downMs} ms of outages`);
});

test("what it counts is there for the metrics", () => {
  const subject = new Subject().cool();
  subject.enter();
  subject.succeed(true);
  const counts = [BREAKER_AT.opens, BREAKER_AT.tries, BREAKER_AT.failures].map((at) => subject.slot[at]);
  deepStrictEqual(counts, [1, 4, 3]);
});
