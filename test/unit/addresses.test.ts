/** The addresses of a host: when they are asked for, what is used while they are not known, and in which order they are tried. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import type { LookupAddress } from "node:dns";
import { test } from "node:test";
import {
  ADDRESS_MISSES_MAX,
  ADDRESS_PENALTY_MS,
  ADDRESS_REFRESH_MS,
  ADDRESS_RETRY_MS,
  ADDRESS_STALE_MS_MAX,
} from "../../src/base/limits.ts";
import { type Address, Addresses, isGone, type Lookup, putBack } from "../../src/upstream/addresses.ts";

/** A resolver that answers when the test says so. */
class Resolver {
  readonly asked: string[] = [];
  #answers: Parameters<Lookup>[1][] = [];
  readonly lookup: Lookup = (host, done) => {
    this.asked.push(host);
    this.#answers.push(done);
  };

  answer(...texts: string[]): void {
    const found: LookupAddress[] = texts.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));
    for (const done of this.#answers.splice(0)) done(null, found);
  }

  fail(message: string): void {
    for (const done of this.#answers.splice(0)) done(new Error(message), []);
  }
}

let atMs = 1_000_000;

/** What was told, at once or since: texts in order, or the error. */
function told(addresses: Addresses): { texts: string[]; list: readonly Address[]; error: string | null } {
  const heard: ReturnType<typeof told> = { texts: [], list: [], error: null };
  addresses.get((list, error) => {
    heard.list = list;
    heard.texts.push(...list.map(({ text }) => text));
    heard.error = list.length === 0 ? (error?.message ?? "") : null;
  });
  return heard;
}

test("a literal address, and localhost, are never asked for", () => {
  const resolver = new Resolver();
  for (const [host, texts] of [
    ["192.0.2.1", ["192.0.2.1"]],
    ["[2001:db8::1]", ["2001:db8::1"]],
  ] as const) {
    deepStrictEqual(told(new Addresses(host, resolver.lookup, () => atMs)).texts, texts);
  }
  const local = new Addresses("localhost", resolver.lookup, () => atMs);
  deepStrictEqual(told(local).texts.toSorted(), ["127.0.0.1", "::1"]);
  atMs += ADDRESS_STALE_MS_MAX * 100;
  strictEqual(told(local).texts.length, 2);
  deepStrictEqual(resolver.asked, []);
});

test("all who wait are told with one answer", () => {
  const resolver = new Resolver();
  const addresses = new Addresses("api.test", resolver.lookup, () => atMs);
  const [first, second] = [told(addresses), told(addresses)];
  deepStrictEqual([first.texts, resolver.asked], [[], ["api.test"]]);
  resolver.answer("192.0.2.1");
  deepStrictEqual([first.texts, second.texts, told(addresses).texts], [["192.0.2.1"], ["192.0.2.1"], ["192.0.2.1"]]);
  strictEqual(resolver.asked.length, 1);
});

test("old addresses are used while they are asked for again", () => {
  const resolver = new Resolver();
  const addresses = new Addresses("api.test", resolver.lookup, () => atMs);
  told(addresses);
  resolver.answer("192.0.2.1");
  atMs += ADDRESS_REFRESH_MS;
  deepStrictEqual(told(addresses).texts, ["192.0.2.1"]);
  deepStrictEqual(told(addresses).texts, ["192.0.2.1"]);
  strictEqual(resolver.asked.length, 2);
  resolver.answer("192.0.2.2");
  deepStrictEqual(told(addresses).texts, ["192.0.2.2"]);
});

test("when asking again fails, the old ones stay for a while, and it is tried again soon", () => {
  const resolver = new Resolver();
  const addresses = new Addresses("api.test", resolver.lookup, () => atMs);
  told(addresses);
  resolver.answer("192.0.2.1");
  atMs += ADDRESS_REFRESH_MS;
  told(addresses);
  resolver.fail("EAI_AGAIN");
  deepStrictEqual([told(addresses).texts, resolver.asked.length], [["192.0.2.1"], 2]);
  atMs += ADDRESS_RETRY_MS;
  deepStrictEqual([told(addresses).texts, resolver.asked.length], [["192.0.2.1"], 3]);
  resolver.fail("EAI_AGAIN");
  atMs += ADDRESS_STALE_MS_MAX;
  const late = told(addresses);
  resolver.fail("ENOTFOUND");
  deepStrictEqual([late.texts, late.error], [[], "ENOTFOUND"]);
});

test("a failure is told to those who come shortly after it, without asking, and not at once", async () => {
  const resolver = new Resolver();
  const addresses = new Addresses("api.test", resolver.lookup, () => atMs);
  const first = told(addresses);
  resolver.fail("ENOTFOUND");
  const second = told(addresses);
  deepStrictEqual([first.error, second.error, resolver.asked.length], ["ENOTFOUND", null, 1]);
  await new Promise((resolve) => setImmediate(resolve));
  strictEqual(second.error, "ENOTFOUND");
  const none = new Addresses("api.test", resolver.lookup, () => atMs);
  const empty = told(none);
  resolver.answer();
  strictEqual(empty.error, "api.test has no address");
});

test("families take turns, and each connection begins with another address of the first", () => {
  const resolver = new Resolver();
  const addresses = new Addresses("api.test", resolver.lookup, () => atMs);
  told(addresses);
  resolver.answer("2001:db8::1", "2001:db8::2", "192.0.2.1");
  const [one, two] = [told(addresses).texts, told(addresses).texts];
  deepStrictEqual([one.length, one[1], two[1]], [3, "192.0.2.1", "192.0.2.1"]);
  deepStrictEqual([one[0], two[0]].toSorted(), ["2001:db8::1", "2001:db8::2"]);
});

test("an address that failed is tried behind the others for a while, also when it is resolved again", () => {
  const resolver = new Resolver();
  const addresses = new Addresses("api.test", resolver.lookup, () => atMs);
  told(addresses);
  resolver.answer("192.0.2.1", "192.0.2.2");
  const [bad] = told(addresses).list;
  if (bad === undefined) throw new Error("there is one");
  putBack(bad, atMs);
  for (let i = 0; i < 4; i += 1) strictEqual(told(addresses).texts.at(-1), bad.text);
  atMs += ADDRESS_REFRESH_MS;
  told(addresses);
  resolver.answer("192.0.2.1", "192.0.2.2");
  for (let i = 0; i < 4; i += 1) strictEqual(told(addresses).texts.at(-1), bad.text);
  atMs += ADDRESS_PENALTY_MS;
  strictEqual(new Set([told(addresses).texts[0], told(addresses).texts[0]]).size, 2);
});

test("an address that some answers in a row do not have is gone; one that comes back before is the same", () => {
  const resolver = new Resolver();
  const addresses = new Addresses("api.test", resolver.lookup, () => atMs);
  const refreshed = (...texts: string[]) => {
    atMs += ADDRESS_REFRESH_MS;
    addresses.refresh();
    resolver.answer(...texts);
    return told(addresses).list;
  };
  const [first] = refreshed("192.0.2.1", "192.0.2.2").filter(({ text }) => text === "192.0.2.1");
  if (first === undefined) throw new Error("there is one");
  for (let i = 1; i < ADDRESS_MISSES_MAX; i += 1) refreshed("192.0.2.2");
  deepStrictEqual([isGone(first), addresses.gone], [false, 0]);
  deepStrictEqual(refreshed("192.0.2.1"), [first]);
  for (let i = 1; i < ADDRESS_MISSES_MAX; i += 1) refreshed("192.0.2.3");
  atMs += ADDRESS_REFRESH_MS;
  addresses.refresh();
  // No answer is none without it.
  resolver.fail("EAI_AGAIN");
  deepStrictEqual([isGone(first), addresses.gone], [false, 1]);
  refreshed("192.0.2.3");
  deepStrictEqual([isGone(first), addresses.gone], [true, 2]);
  ok(!refreshed("192.0.2.1").includes(first));
  const asked = resolver.asked.length;
  addresses.refresh();
  strictEqual(resolver.asked.length, asked);
});
