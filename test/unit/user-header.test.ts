/** The user whom a header names. */
import { strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { USER_BYTES_MAX } from "../../src/base/limits.ts";
import { takeUser } from "../../src/pipeline/user-header.ts";
import { exchangeOf, snapshotOf } from "../support/exchange.ts";

function userOf(headers: readonly string[], userHeader = "x-user-id", ownLines = ""): string {
  const exchange = exchangeOf({ snapshot: snapshotOf({ userHeader }), headers });
  exchange.ownLines = ownLines;
  takeUser(exchange);
  return exchange.user;
}

test("a header names the user, wherever it stands, and no other header does", () => {
  strictEqual(userOf(["a", "b", "x-user-id", "one", "c", "d"]), "one");
  strictEqual(userOf(["x-user-id", "last"]), "last");
  strictEqual(userOf(["x-user-id-2", "two", "y", "x-user-id: three"]), "");
  strictEqual(userOf([]), "");
});

test("a header of the gateway's own names it as well", () => {
  strictEqual(userOf([], "x-sluice-user", "\r\nx-sluice-user: own"), "own");
  strictEqual(userOf([], "x-sluice-user", "\r\nx-sluice-user: zoë 语"), "zoë 语");
  strictEqual(userOf([], "x-sluice-user", `\r\nx-sluice-user: ${"ü".repeat(1_000)}`).length, (USER_BYTES_MAX - 2) / 2);
});

test("bytes are read as in a body, and no more than of a body's field", () => {
  strictEqual(userOf(["x-user-id", Buffer.from("ü").toString("latin1")]), "ü");
  strictEqual(userOf(["x-user-id", "u".repeat(1_000)]).length, USER_BYTES_MAX - 2);
});
