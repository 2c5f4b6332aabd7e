/** The table itself: every row renders to the OpenAI shape, and has a test in this folder. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { ERROR_NUMBERS, ERRORS, errorByNumber } from "../../src/base/errors.ts";
import { errorBody } from "../../src/pipeline/rescue.ts";
import { expectErrorObject } from "../support/expect-error.ts";

test("every row renders to the OpenAI error shape", () => {
  for (const row of Object.values(ERRORS)) expectErrorObject(JSON.parse(errorBody(row, "a detail")), row);
});

test("numbers and codes are unique, and fit the counters", () => {
  const rows = Object.values(ERRORS);
  strictEqual(new Set(rows.map((row) => row.code)).size, rows.length);
  for (const row of rows) deepStrictEqual([errorByNumber(row.number), row.number < ERROR_NUMBERS], [row, true]);
});

/** Rows that no file of this folder names whose own name `matches`. */
function rowsWithoutTest(matches: RegExp): string[] {
  const folder = new URL("./", import.meta.url);
  const text = readdirSync(folder)
    .filter((name) => matches.test(name))
    .map((name) => readFileSync(new URL(name, folder), "utf8"))
    .join("");
  return Object.keys(ERRORS).filter((name) => !new RegExp(`ERRORS\\.${name}\\b`).test(text));
}

test("every row has a test here", () => {
  deepStrictEqual(rowsWithoutTest(/./), []);
});

test("every row is repeated a thousand times, but for the one with which a worker ends", () => {
  deepStrictEqual(rowsWithoutTest(/^leak/), ["drainDeadline"]);
});
