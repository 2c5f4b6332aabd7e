/** Label blocks: what a record keeps of a name. */
import { deepStrictEqual, notStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { decodeLabel, encodeLabel } from "../../src/base/bytes.ts";

const BYTES = 80;
const round = (text: string) => decodeLabel(encodeLabel(text, BYTES), 0);

test("a name that fits is kept as it is, up to the last byte", () => {
  for (const text of ["", "gpt-4o", "é".repeat(39), "x".repeat(BYTES - 1)]) strictEqual(round(text), text);
});

test("names that differ only behind what fits stay two names", () => {
  const common = "ft:gpt-4o-mini-2024-07-18:a-rather-long-organisation-name:a-suffix-for-the-model:";
  const [one, other] = [round(`${common}AbCd1234`), round(`${common}AbCd1235`)];
  notStrictEqual(one, other);
  deepStrictEqual([one.slice(0, 60), other.slice(0, 60)], [common.slice(0, 60), common.slice(0, 60)]);
});

test("a long name is cut between characters, marked, and always the same", () => {
  for (let shift = 0; shift < 4; shift += 1) {
    const text = "x".repeat(shift) + "日本".repeat(40);
    strictEqual(round(text), round(text));
    strictEqual(/^x*[日本]+~[0-9a-f]{14}$/.test(round(text)), true, round(text));
    strictEqual(Buffer.byteLength(round(text)) < BYTES, true);
  }
});
