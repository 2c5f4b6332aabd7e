/** Which key a request has, and which are refused. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { ERRORS, type ErrorRow } from "../../src/base/errors.ts";
import { KEY_BYTES_MAX } from "../../src/base/limits.ts";
import { authenticate } from "../../src/pipeline/authenticate.ts";
import { hashOf, KEY } from "../support/config.ts";
import { exchangeOf, snapshotOf } from "../support/exchange.ts";

function entry(name: string, text: string, enabled: boolean, expiresAtMs: number | null) {
  return { name, hash: hashOf(text).slice(7), enabled, expiresAtMs, models: null, team: null };
}

const long = "k".repeat(KEY_BYTES_MAX);
const snapshot = snapshotOf({
  keys: [
    entry("good", KEY, true, null),
    entry("long", long, true, null),
    entry("young", "young", true, Date.now() + 3_600_000),
    entry("old", "old", true, Date.now() - 1),
    entry("off", "off", false, null),
  ],
});

const CASES: [string, ErrorRow | null, string | undefined][] = [
  [KEY, null, "good"],
  [long, null, "long"],
  ["young", null, "young"],
  ["old", ERRORS.keyExpired, "old"],
  ["off", ERRORS.keyDisabled, "off"],
  ["", ERRORS.keyMissing, undefined],
  [`${KEY} `, ERRORS.keyInvalid, undefined],
  [KEY.toUpperCase(), ERRORS.keyInvalid, undefined],
  [hashOf(KEY), ERRORS.keyInvalid, undefined],
  [`${long}k`, ERRORS.keyInvalid, undefined],
  ["__proto__", ERRORS.keyInvalid, undefined],
];

for (const [keyText, error, name] of CASES) {
  test(`the key ${JSON.stringify(keyText.slice(0, 40))}: ${error?.code ?? "taken"}, the first time and later`, () => {
    for (let round = 0; round < 3; round += 1) {
      const exchange = exchangeOf({ keyText, snapshot });
      deepStrictEqual([authenticate(exchange), exchange.key?.name, exchange.keyText], [error, name, ""]);
    }
  });
}

test("a key that a reload took away is refused by requests that begin after it, not by those before", () => {
  const without = snapshotOf({ keys: [] });
  for (const [used, error] of [
    [snapshot, null],
    [without, ERRORS.keyInvalid],
    [snapshot, null],
  ] as const) {
    strictEqual(authenticate(exchangeOf({ keyText: KEY, snapshot: used })), error);
  }
});
