/** What every refusal must look like: to the client, and in the records. */
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import type { ErrorRow } from "../../src/base/errors.ts";
import type { Answer } from "./http-client.ts";
import { headerOf, type RawResponse } from "./raw-response.ts";
import type { Sluice } from "./sluice.ts";
import type { RecordRow } from "./usage-db.ts";

/** A raw response as an Answer. */
export function answerOf(response: RawResponse | null): Answer {
  if (response === null) throw new Error("the connection closed without an answer");
  return {
    status: response.status,
    headers: new Headers(response.headers.map(([name, value]): [string, string] => [name, value])),
    text: response.body.toString(),
    requestId: headerOf(response, "x-request-id"),
  };
}

/** The OpenAI shape, with status, code and type of the row; no placeholder left in the message. */
export function expectError(answer: Answer, row: ErrorRow): void {
  strictEqual(answer.status, row.status, answer.text);
  expectErrorObject(JSON.parse(answer.text), row);
  strictEqual(answer.headers.get("content-type"), "application/json");
  match(answer.requestId, /^\S+$/);
}

/** `{"error": {...}}` in the OpenAI shape. */
export function expectErrorObject(value: { readonly error: Readonly<Record<string, unknown>> }, row: ErrorRow): void {
  const { error } = value;
  deepStrictEqual([error["code"], error["type"]], [row.code, row.type]);
  deepStrictEqual(Object.keys(error).sort(), ["code", "message", "param", "type"]);
  strictEqual(error["param"] === null || typeof error["param"] === "string", true);
  match(String(error["message"]), matcherOf(row));
}

/** The message of the row, with anything for its placeholder. */
function matcherOf(row: ErrorRow): RegExp {
  const parts = row.message.split("%").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join("(?!%\\W).*")}$`);
}

/** The record of a request that was refused before it went upstream: named, and free. */
export async function expectFree(sluice: Sluice, requestId: string, row: ErrorRow): Promise<RecordRow> {
  const record = await sluice.recordOf(requestId);
  const { error, status, usage_source, cost_nanodollars, attempts } = record;
  deepStrictEqual([error, status, usage_source, cost_nanodollars, attempts], [row.code, row.status, "none", 0, 0]);
  return record;
}

/** The record of a request that failed upstream. */
export async function expectFailed(sluice: Sluice, requestId: string, row: ErrorRow): Promise<RecordRow> {
  const record = await sluice.recordOf(requestId);
  deepStrictEqual([record.error, record.attempts >= 1], [row.code, true]);
  return record;
}

/** The error event that ends a broken stream. */
export function lastEvent(text: string): { readonly error: Readonly<Record<string, unknown>> } {
  const events = text.split("\n\n").filter((event) => event !== "");
  return JSON.parse((events.at(-1) ?? "").replace(/^data: /, ""));
}
