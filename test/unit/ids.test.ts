/** Request ids: none comes twice, and all have one form. */
import { match, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { nextRequestId } from "../../src/base/ids.ts";

const RADIX = 36;
const PREFIX_CHARS = 28;

test("each id is the number after the one before, over every carry of four digits", () => {
  const first = nextRequestId();
  match(first, /^req_[0-9a-f]{24}[0-9a-z]{9}$/);
  const begin = Number.parseInt(first.slice(PREFIX_CHARS), RADIX);
  for (let i = 1; i <= RADIX ** 3 + 1; i += 1) {
    const id = nextRequestId();
    if (id !== first.slice(0, PREFIX_CHARS) + (begin + i).toString(RADIX).padStart(9, "0"))
      strictEqual(id, `number ${begin + i}`);
  }
});
