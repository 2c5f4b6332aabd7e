/** Errors as clients read them: the OpenAI shape, for every row of the table. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { ERRORS } from "../../src/base/errors.ts";
import { answerError, errorBody, errorEvent } from "../../src/pipeline/rescue.ts";
import { exchangeOf, SeenDown } from "../support/exchange.ts";

const rows = Object.values(ERRORS).filter((row) => row.status > 0);

function answered(row: (typeof rows)[number], path = "/v1/chat/completions"): SeenDown {
  const down = new SeenDown();
  const exchange = exchangeOf({ down, path });
  exchange.status = row.status;
  exchange.detail = 'a "detail" of $& and \u2028';
  answerError(exchange, row);
  return down;
}

for (const row of rows) {
  test(`${row.code} has the OpenAI shape, and its detail is taken as text`, () => {
    const { error } = JSON.parse(Buffer.concat(answered(row).written).toString());
    deepStrictEqual(Object.keys(error), ["message", "type", "param", "code"]);
    deepStrictEqual([error.type, error.code], [row.type, row.code]);
    strictEqual(
      error.message,
      row.message.replace("%", () => 'a "detail" of $& and \u2028'),
    );
  });

  test(`${row.code} says whether to try again`, () => {
    const { head } = answered(row);
    strictEqual(head.includes("\r\nretry-after: 1"), row.status === 503);
    strictEqual(
      head.includes("\r\nx-should-retry: false"),
      (row.status >= 500 || row.status === 429 || row.status === 402) && !row.retryable,
    );
  });
}

test("the field at fault is named", () => {
  const paramOf = (text: string) => JSON.parse(text).error.param;
  strictEqual(paramOf(errorBody(ERRORS.fieldType, "stream")), "stream");
  strictEqual(paramOf(errorBody(ERRORS.fieldDuplicate, "model")), "model");
  strictEqual(paramOf(errorBody(ERRORS.modelMissing, "")), "model");
  strictEqual(paramOf(errorBody(ERRORS.keyMissing, "")), null);
});

test("a wrong method is told the right one (RFC 9110 15.5.6)", () => {
  strictEqual(answered(ERRORS.methodNotAllowed).head.includes("\r\nallow: POST\r\n"), true);
  strictEqual(answered(ERRORS.methodNotAllowed, "/v1/models").head.includes("\r\nallow: GET\r\n"), true);
});

test("as an event it is one event", () => {
  const text = errorEvent(ERRORS.upstreamCut, "a\n\nb");
  strictEqual(text, `data: ${errorBody(ERRORS.upstreamCut, "a\n\nb")}\n\n`);
  strictEqual(text.indexOf("\n"), text.length - 2);
});
