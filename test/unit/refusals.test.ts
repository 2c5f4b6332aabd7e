/** Refused connections: how often they are told, and which go when there are too many. */
import { deepEqual, equal } from "node:assert/strict";
import { Socket } from "node:net";
import { describe, test } from "node:test";
import { GREETING_MS_MAX, GREETING_PATIENCE_MS, GREETINGS_MAX, TROUBLE_INTERVAL_MS } from "../../src/base/limits.ts";
import { REFUSALS } from "../../src/base/refusals.ts";
import { Greetings } from "../../src/http/greetings.ts";
import { Refusals, type Refused } from "../../src/http/refusals.ts";

test("every refusal is counted; a listener's first of a kind is told at once, the rest with their number", () => {
  const counted = new Map<number, number>();
  const told: Refused[] = [];
  const refusals = new Refusals(
    (index) => counted.set(index, (counted.get(index) ?? 0) + 1),
    (refused) => told.push(refused),
  );
  for (const atMs of [0, 1, 2, TROUBLE_INTERVAL_MS]) refusals.note("a:1", "tls_handshake", `E${atMs}`, atMs);
  refusals.note("b:1", "tls_handshake", "E", 3);
  refusals.note("a:1", "exhausted", "EMFILE", 4);
  deepEqual(counted, new Map([[REFUSALS.indexOf("tls_handshake"), 5]]).set(REFUSALS.indexOf("exhausted"), 1));
  deepEqual(
    told.map(({ listener, reason, detail, count }) => [listener, reason, detail, count]),
    [
      ["a:1", "tls_handshake", "E0", 1],
      ["a:1", "tls_handshake", `E${TROUBLE_INTERVAL_MS}`, 3],
      ["b:1", "tls_handshake", "E", 1],
      ["a:1", "exhausted", "EMFILE", 1],
    ],
  );
});

describe("connections that have said nothing yet", () => {
  const socket = new Socket();
  const crowd = (greetings: Greetings, sinceMs: number) =>
    Array.from({ length: GREETINGS_MAX }, () => greetings.add(socket, "first_byte_timeout", sinceMs));

  test("none is too many up to the limit", () => {
    const greetings = new Greetings();
    const last = crowd(greetings, 0).at(-1);
    equal(last && greetings.surplus(last, 9_999), null);
  });

  test("beyond it the oldest gives way, once it has had its time", () => {
    const greetings = new Greetings();
    const [oldest] = crowd(greetings, 0);
    const newest = greetings.add(socket, "first_byte_timeout", GREETING_PATIENCE_MS);
    equal(greetings.surplus(newest, GREETING_PATIENCE_MS - 1), newest);
    equal(greetings.surplus(newest, GREETING_PATIENCE_MS), oldest);
  });

  test("one is late by its own age, and those that have gone are not", () => {
    const greetings = new Greetings();
    const [first, second] = [0, 5].map((sinceMs) => greetings.add(socket, "proxy_header_timeout", sinceMs));
    if (first === undefined || second === undefined) throw new Error("two are expected");
    equal(greetings.late(GREETING_MS_MAX - 1), null);
    equal(greetings.late(GREETING_MS_MAX), first);
    deepEqual([greetings.remove(first), greetings.remove(first)], [true, false]);
    equal(greetings.late(GREETING_MS_MAX), null);
    equal(greetings.late(GREETING_MS_MAX + 5), second);
  });
});
