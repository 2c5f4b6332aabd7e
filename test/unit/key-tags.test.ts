/** Keys that the edge knows by their tags: SipHash as published, and no tag for longer than the snapshot it was learnt in. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import type { Snapshot } from "../../src/config/snapshot.ts";
import { readHead, rememberKey } from "../../src/http/request-head.ts";
import { native } from "../../src/native/native.ts";
import { authenticate } from "../../src/pipeline/authenticate.ts";
import { Exchange } from "../../src/pipeline/exchange.ts";
import { hashOf } from "../support/config.ts";
import { SeenDown, snapshotOf } from "../support/exchange.ts";

const KEYS = 300;

/** By the length of the text: bytes 0, 1, 2, ... under the secret 0 to 15. Reference implementation; `openssl mac SIPHASH`. */
const VECTORS: [number, string][] = [
  [0, "a3817f04ba25a8e66df67214c7550293"],
  [1, "da87c1d86b99af44347659119b22fc45"],
  [7, "a1f1ebbed8dbc153c0b84aa61ff08239"],
  [8, "3b62a9ba6258f5610f83e264f31497b4"],
  [15, "5493e99933b0a8117e08ec0f97cfc3d9"],
  [63, "5150d1772f50834a503e069a973fbd7c"],
];

function countTo(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => i);
}

for (const [length, digest] of VECTORS) {
  test(`SipHash-2-4-128 of ${length} bytes`, () => strictEqual(native.sipHash(countTo(16), countTo(length)), digest));
}

function keyOf(number: number): string {
  return `sk-sluice-${"x".repeat(number % 50)}-${number}`;
}

function withKeys(count: number): Snapshot {
  const keys = Array.from({ length: count }, (_, number) => ({
    name: `key-${number}`,
    hash: hashOf(keyOf(number)).slice(7),
    enabled: true,
    expiresAtMs: null,
    models: null,
    team: null,
  }));
  return snapshotOf({ keys });
}

/** As the edge does it. */
function enter(keyText: string, snapshot: Snapshot): { exchange: Exchange; hashed: boolean } {
  const exchange = new Exchange(snapshot, new SeenDown(), 0, false);
  const list = ["POST", "/v1/x", "host", "h", "authorization", `Bearer ${keyText}`];
  strictEqual(
    readHead(list, exchange, () => native.readHeadList(list)),
    null,
  );
  const hashed = exchange.keyText !== "";
  authenticate(exchange);
  if (exchange.keyNumber < 0 && exchange.key !== null) rememberKey(exchange.key.number);
  return { exchange, hashed };
}

test("a key is hashed once, and is its own record's ever after", () => {
  const snapshot = withKeys(KEYS);
  for (let round = 0; round < 3; round += 1) {
    for (let number = 0; number < KEYS; number += 1) {
      const { exchange, hashed } = enter(keyOf(number), snapshot);
      deepStrictEqual([exchange.key?.name, exchange.keyText, hashed], [`key-${number}`, "", round === 0]);
    }
  }
});

test("what is no key is hashed each time, and is never anybody's", () => {
  const snapshot = withKeys(3);
  enter(keyOf(1), snapshot);
  for (const text of [`${keyOf(1)}x`, keyOf(1).slice(0, -1), keyOf(1).toUpperCase(), `${keyOf(1)}\0`, keyOf(3)]) {
    for (let round = 0; round < 3; round += 1) {
      const { exchange, hashed } = enter(text, snapshot);
      deepStrictEqual([exchange.key, hashed], [null, true], JSON.stringify(text));
    }
  }
});

test("a reload forgets: its numbers are others, and a key that it took away is nobody's", () => {
  const [before, after] = [withKeys(5), withKeys(2)];
  for (const snapshot of [before, after, before]) {
    strictEqual(enter(keyOf(4), snapshot).exchange.key?.name, snapshot === before ? "key-4" : undefined);
    const { exchange, hashed } = enter(keyOf(1), snapshot);
    deepStrictEqual([exchange.key?.name, hashed], ["key-1", true]);
  }
});
