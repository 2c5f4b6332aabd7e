/** The strategy `hash`: sticky, by weight, and a target that leaves or comes back moves its own share and no other. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { HASH_CHARS_MAX } from "../../src/base/limits.ts";
import type { TargetConfig } from "../../src/config/model.ts";
import type { HashBy, KeyRecord, Route } from "../../src/config/snapshot.ts";
import { nextChoice } from "../../src/pipeline/choose.ts";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import { Random } from "../fuzz/random.ts";
import { exchangeOf, snapshotOf } from "../support/exchange.ts";

const SEEDS = 40;
const USERS = 2_000;
const BY_USER: HashBy = { by: "user", line: "" };
const BY_HEADER: HashBy = { by: "header", line: "\r\nx-session: " };

function routeOf(targets: readonly TargetConfig[], hashBy: HashBy | null): Route {
  const models = { several: { targets, strategy: "hash" as const, hashBy, attempts: 2 } };
  return snapshotOf({ models }).routes.get("several") as Route;
}

function targetsOf(random: Random): TargetConfig[] {
  return Array.from({ length: 3 + random.below(8) }, (_, i) => {
    return { provider: "main", model: `model-${random.below(1e6)}-${i}`, weight: 1 + random.below(4), priority: 0 };
  });
}

const exchange = exchangeOf();

function placeOf(route: Route, user: string, tried = 0): string {
  exchange.user = user;
  return nextChoice(exchange, route, tried, 0, 0)?.target.upstreamModel ?? "none";
}

function users(random: Random): string[] {
  return Array.from({ length: USERS }, () => `user-${random.below(1e9)}`);
}

test(`over ${SEEDS} seeds, a target that leaves gives its requests to the others, for their weight, and nothing else moves`, () => {
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const random = new Random(seed);
    const targets = targetsOf(random);
    const gone = random.pick(targets);
    const rest = targets.filter((one) => one !== gone);
    const [all, fewer] = [routeOf(targets, BY_USER), routeOf(random.chance(0.5) ? rest : rest.toReversed(), BY_USER)];
    let moved = 0;
    for (const user of users(random)) {
      const [before, after] = [placeOf(all, user), placeOf(fewer, user)];
      if (before === gone.model) moved += 1;
      else strictEqual(after, before, `seed ${seed}: ${user}`);
    }
    const weight = targets.reduce((sum, one) => sum + one.weight, 0);
    const expected = (USERS * gone.weight) / weight;
    ok(Math.abs(moved - expected) < 5 * Math.sqrt(expected) + 5, `seed ${seed}: ${moved} of ${expected}`);
  }
});

test(`over ${SEEDS} seeds, each target has its share`, () => {
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const random = new Random(seed);
    const targets = targetsOf(random);
    const route = routeOf(targets, BY_USER);
    const counts = new Map<string, number>();
    for (const user of users(random)) counts.set(placeOf(route, user), (counts.get(placeOf(route, user)) ?? 0) + 1);
    const weight = targets.reduce((sum, one) => sum + one.weight, 0);
    for (const one of targets) {
      const expected = (USERS * one.weight) / weight;
      const count = counts.get(one.model ?? "") ?? 0;
      ok(Math.abs(count - expected) < 5 * Math.sqrt(expected) + 5, `seed ${seed}: ${count} of ${expected}`);
    }
  }
});

test("the fallback of a request is where it would go without its target", () => {
  const random = new Random(9);
  const targets = targetsOf(random);
  const route = routeOf(targets, BY_USER);
  for (const user of users(random).slice(0, 300)) {
    const first = placeOf(route, user);
    const place = route.choices.findIndex(({ target }) => target.upstreamModel === first);
    const without = routeOf(
      targets.filter(({ model }) => model !== first),
      BY_USER,
    );
    strictEqual(placeOf(route, user, 1 << place), placeOf(without, user));
  }
});

test("a lower priority number comes first, whatever the hash says", () => {
  const targets = [
    { provider: "main", model: "later", weight: 1_000, priority: 1 },
    { provider: "main", model: "first", weight: 1, priority: 0 },
  ];
  const route = routeOf(targets, BY_USER);
  deepStrictEqual(new Set(users(new Random(3)).map((user) => placeOf(route, user))), new Set(["first"]));
});

const several = Array.from({ length: 12 }, (_, i) => ({ provider: "main", model: `m${i}`, weight: 1, priority: 0 }));

function keyed(name: string, lines = "", user = ""): Exchange {
  const one = exchangeOf();
  one.key = { name } as KeyRecord;
  one.lines = lines;
  one.user = user;
  return one;
}

function chosen(route: Route, one: Exchange): number {
  return nextChoice(one, route, 0, 0, 0)?.place ?? -1;
}

/** Whether all of these go to one place; there are many, so they would not by chance. */
function together(route: Route, exchanges: readonly Exchange[]): boolean {
  return new Set(exchanges.map((one) => chosen(route, one))).size === 1;
}

const numbers = Array.from({ length: 30 }, (_, i) => i);

test("by the key: nothing else of a request matters", () => {
  for (const route of [routeOf(several, null), routeOf(several, { by: "key", line: "" })]) {
    ok(
      together(
        route,
        numbers.map((i) => keyed("a", `\r\nx-session: ${i}`, `u${i}`)),
      ),
    );
    ok(
      !together(
        route,
        numbers.map((i) => keyed(`key-${i}`)),
      ),
    );
  }
});

test("by a header: its value alone, wherever it stands, and the key of a request that lacks it", () => {
  const route = routeOf(several, BY_HEADER);
  const lines = (i: number) => (i % 2 === 0 ? `\r\na: ${i}\r\nx-session: same\r\nb: 1` : `\r\nx-session: same`);
  ok(
    together(
      route,
      numbers.map((i) => keyed(`key-${i}`, lines(i))),
    ),
  );
  ok(
    !together(
      route,
      numbers.map((i) => keyed("a", `\r\nx-session: ${i}`)),
    ),
  );
  ok(
    together(
      route,
      numbers.map((i) => keyed("a", `\r\nx-session-id: ${i}\r\ny: x-session: ${i}`)),
    ),
  );
  ok(
    !together(
      route,
      numbers.map((i) => keyed(`key-${i}`)),
    ),
  );
});

test("by a header that is for the gateway alone", () => {
  const route = routeOf(several, { by: "header", line: "\r\nx-sluice-session: " });
  const own = (key: string, value: string) =>
    Object.assign(keyed(key), { ownLines: `\r\nx-sluice-a: 1\r\nx-sluice-session: ${value}` });
  ok(
    together(
      route,
      numbers.map((i) => own(`key-${i}`, "same")),
    ),
  );
  ok(
    !together(
      route,
      numbers.map((i) => own("a", `${i}`)),
    ),
  );
});

test("of a long value its beginning counts", () => {
  const route = routeOf(several, BY_HEADER);
  const long = "x".repeat(HASH_CHARS_MAX);
  ok(
    together(
      route,
      numbers.map((i) => keyed("a", `\r\nx-session: ${long}${i}`)),
    ),
  );
});

test("by the user, and by the key where there is none", () => {
  const route = routeOf(several, BY_USER);
  ok(
    together(
      route,
      numbers.map((i) => keyed(`key-${i}`, "", "same")),
    ),
  );
  ok(
    together(
      route,
      numbers.map(() => keyed("a")),
    ),
  );
  ok(
    !together(
      route,
      numbers.map((i) => keyed("a", "", `u${i}`)),
    ),
  );
  ok(
    !together(
      route,
      numbers.map((i) => keyed(`key-${i}`)),
    ),
  );
});
