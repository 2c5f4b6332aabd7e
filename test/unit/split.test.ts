/** Which arm a request goes to: in even shares, always the same one, and another one only where shares are changed. */
import { deepEqual, equal, notEqual, ok } from "node:assert/strict";
import { test } from "node:test";
import type { ArmConfig } from "../../src/config/arm.ts";
import { conditionOf, WHEN } from "../../src/config/condition.ts";
import { checkForm } from "../../src/config/finding.ts";
import type { ModelConfig } from "../../src/config/model.ts";
import type { Snapshot, Sticky } from "../../src/config/snapshot.ts";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import { route } from "../../src/pipeline/route.ts";
import { armRoute } from "../../src/pipeline/split.ts";
import { ARM_AT } from "../../src/shm/arms.ts";
import { Random } from "../fuzz/random.ts";
import { exchangeOf, snapshotOf } from "../support/exchange.ts";

type Shares = Readonly<Record<string, number>>;

const KEYS = 20_000;

function modelOf(shares: Shares, sticky: Sticky): ModelConfig {
  const names = Object.keys(shares);
  const targets = names.map((name) => ({ provider: "main", model: `m-${name}`, weight: 1, priority: 0 }));
  const list = names.map((name, first): ArmConfig => {
    return { name, share: shares[name] ?? 0, first, count: 1, strategy: "priority", attempts: 1, retries: true };
  });
  return { targets, strategy: "priority", attempts: 1, arms: { sticky, header: "x-team", list, rollback: null } };
}

function armsOf(shares: Shares, sticky: Sticky = "user", alias = "split"): Snapshot {
  return snapshotOf({ models: { [alias]: modelOf(shares, sticky) } });
}

function armOf(snapshot: Snapshot, exchange: Exchange, chance: () => number = () => 0.5): string {
  const [found] = snapshot.routes.values();
  if (!found?.arms) throw new Error("the model has no arms");
  return armRoute(exchange, found.arms, chance)?.arm?.name ?? "none";
}

function ofUser(snapshot: Snapshot, user: string): string {
  const exchange = exchangeOf({ snapshot });
  exchange.user = user;
  return armOf(snapshot, exchange);
}

/** Of so many users, by their arms. */
function usersOf(snapshot: Snapshot): string[] {
  return Array.from({ length: KEYS }, (_, i) => ofUser(snapshot, `user-${i}@example.com`));
}

function countOf(arms: readonly string[], name: string): number {
  return arms.filter((arm) => arm === name).length;
}

/** Five standard deviations of what chance brings. */
function isShare(count: number, of: number, share: number): void {
  const off = Math.abs(count - of * share);
  ok(off <= 5 * Math.sqrt(of * share * (1 - share)), `${count} of ${of} instead of a share of ${share}`);
}

test("users are shared out as the shares say, also where their names differ in one place only", () => {
  const arms = usersOf(armsOf({ a: 70, b: 25, c: 5 }));
  isShare(countOf(arms, "a"), KEYS, 0.7);
  isShare(countOf(arms, "b"), KEYS, 0.25);
  isShare(countOf(arms, "c"), KEYS, 0.05);
});

test("a user stays at its arm, in every worker and after a reload", () => {
  deepEqual(usersOf(armsOf({ a: 1, b: 1 })), usersOf(armsOf({ a: 1, b: 1 })));
});

test("two models share users out without regard to each other", () => {
  const [one, two] = [usersOf(armsOf({ a: 1, b: 1 })), usersOf(armsOf({ a: 1, b: 1 }, "user", "another"))];
  const both = one.filter((arm, i) => arm === "a" && two[i] === "a").length;
  isShare(both, KEYS, 0.25);
});

/** A model that shares out its own requests, and in the same way those of a route of it. */
function routedOf(shares: Shares): Snapshot {
  const { form } = checkForm({ header: { "x-a": "1" } }, WHEN);
  if (form === null) throw new Error("a condition");
  const to = modelOf(shares, "user");
  return snapshotOf({ models: { split: { ...to, routes: [{ name: "r", when: conditionOf(form), to }] } } });
}

test("a route shares users out by itself, each always to the same arm, by its own conditions only", () => {
  const snapshot = routedOf({ a: 1, b: 1 });
  const routed = (user: string, headers: readonly string[]) => {
    const exchange = exchangeOf({ snapshot, headers });
    exchange.model = "split";
    exchange.user = user;
    equal(route(exchange), null);
    return `${exchange.route?.name} ${exchange.route?.arm?.name} ${exchange.target?.upstreamModel}`;
  };
  const users = Array.from({ length: 400 }, (_, i) => `user-${i}`);
  const own = users.map((user) => routed(user, []));
  const ofRoute = users.map((user) => routed(user, ["x-a", "1"]));
  deepEqual(
    [new Set(own), new Set(ofRoute)],
    [new Set(["split a m-a", "split b m-b"]), new Set(["split/r a m-a", "split/r b m-b"])],
  );
  deepEqual(
    users.map((user) => routed(user, ["x-a", "1"])),
    ofRoute,
  );
  isShare(own.filter((arm, i) => arm === "split a m-a" && ofRoute[i] === "split/r a m-a").length, users.length, 0.25);
});

test("where the share of an arm grows, users move only to it, and as many as it grows by", () => {
  const before = usersOf(armsOf({ a: 90, b: 10 }));
  const after = usersOf(armsOf({ a: 80, b: 20 }));
  equal(before.filter((arm, i) => arm === "b" && after[i] !== "b").length, 0);
  isShare(before.filter((arm, i) => arm !== after[i]).length, KEYS, 0.1);
});

test("a new arm takes users from each of the others, and moves nobody between them", () => {
  const before = usersOf(armsOf({ a: 60, b: 40 }));
  const after = usersOf(armsOf({ a: 60, b: 40, c: 25 }));
  equal(before.filter((arm, i) => arm !== after[i] && after[i] !== "c").length, 0);
  isShare(countOf(after, "c"), KEYS, 0.2);
});

test("an arm without a share gets nobody", () => equal(countOf(usersOf(armsOf({ a: 1, b: 0 })), "b"), 0));

test("an arm that is rolled back gets nobody, and what was its goes to the others", () => {
  const snapshot = armsOf({ a: 50, b: 50 });
  const words = snapshot.routes.get("split")?.arms?.routes[1]?.arm?.words;
  if (words === undefined) throw new Error("there is no second arm");
  words[ARM_AT.gate] = 1;
  equal(countOf(usersOf(snapshot), "a"), KEYS);
});

test("requests of an arm are counted", () => {
  const snapshot = armsOf({ a: 3, b: 1 });
  const counts = usersOf(snapshot);
  const routes = snapshot.routes.get("split")?.arms?.routes ?? [];
  deepEqual(
    routes.map(({ arm }) => arm?.words[ARM_AT.requests]),
    [countOf(counts, "a"), countOf(counts, "b")],
  );
});

test("by key: the same for all requests of a key, and without one by chance", () => {
  const snapshot = armsOf({ a: 1, b: 1 }, "key");
  const arms = (name: number | null) => {
    const random = new Random(1);
    const seen = Array.from({ length: 200 }, () => {
      const exchange = exchangeOf({ snapshot });
      exchange.key = name === null ? null : (snapshot.keyRecords[name] ?? null);
      return armOf(snapshot, exchange, () => random.unit());
    });
    return new Set(seen).size;
  };
  deepEqual([arms(0), arms(1), arms(null)], [1, 1, 2]);
});

test("by header: its value decides, and where it is not there chance does", () => {
  const snapshot = armsOf({ a: 1, b: 1 }, "header");
  const random = new Random(2);
  const armsFor = (headers: readonly string[]) =>
    Array.from({ length: 100 }, () => armOf(snapshot, exchangeOf({ snapshot, headers }), () => random.unit()));
  const values = Array.from({ length: 40 }, (_, i) => new Set(armsFor(["x-team", `t${i}`, "x-more", "1"])));
  deepEqual(new Set(values.map(({ size }) => size)), new Set([1]));
  equal(new Set(values.flatMap((seen) => [...seen])).size, 2);
  equal(new Set(armsFor(["x-team", "t1"])).size, 1);
  equal(new Set(armsFor(["x-teams", "t1"])).size, 2);
});

test("by chance: each request for itself", () => {
  const random = new Random(3);
  const snapshot = armsOf({ a: 9, b: 1 }, "none");
  const arms = Array.from({ length: KEYS }, () => armOf(snapshot, exchangeOf({ snapshot }), () => random.unit()));
  isShare(countOf(arms, "b"), KEYS, 0.1);
});

test("a request is routed to a target of its arm, and the arm is on its route", () => {
  const snapshot = armsOf({ a: 1, b: 1 });
  const seen = new Set<string>();
  for (let i = 0; i < 50; i += 1) {
    const exchange = exchangeOf({ snapshot });
    exchange.model = "split";
    exchange.user = `u${i}`;
    equal(route(exchange), null);
    notEqual(exchange.route?.arm, null);
    equal(exchange.target?.upstreamModel, `m-${exchange.route?.arm?.name}`);
    seen.add(exchange.route?.arm?.name ?? "");
  }
  deepEqual(seen, new Set(["a", "b"]));
});

test("a header that does not go on to providers decides as well", () => {
  const snapshot = armsOf({ a: 1, b: 1 }, "header");
  const random = new Random(4);
  const arms = Array.from({ length: 50 }, () => {
    const exchange = exchangeOf({ snapshot });
    exchange.ownLines = "\r\nx-team: blue";
    return armOf(snapshot, exchange, () => random.unit());
  });
  equal(new Set(arms).size, 1);
});
