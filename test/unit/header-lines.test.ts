/** Header lines: taken apart and put together without a loss, whatever the values are. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { headerLines, headerList, withoutHeaders } from "../../src/base/header-lines.ts";

const LISTS: readonly string[][] = [
  [],
  ["a", "1"],
  ["a", ""],
  ["a", "", "b", ""],
  ["a", "x: y", "b", ": ", "a", "2"],
  ["x-a", "\xc3\xa9\t,", "x-b", '""'],
];

for (const list of LISTS) {
  test(`lines of ${JSON.stringify(list)}`, () => {
    const lines = headerLines(list);
    strictEqual(lines.split("\r\n").length, 1 + list.length / 2);
    deepStrictEqual(headerList(lines), list);
    strictEqual(withoutHeaders(lines, new Set(["z"])), lines);
  });
}

test("headers of a name are left out, wherever they stand and however many there are", () => {
  const lines = headerLines(["a", "1", "b", "2", "a", "a: 3", "ab", "4"]);
  deepStrictEqual(headerList(withoutHeaders(lines, new Set(["a"]))), ["b", "2", "ab", "4"]);
  strictEqual(withoutHeaders(lines, new Set(["a", "b", "ab"])), "");
});
