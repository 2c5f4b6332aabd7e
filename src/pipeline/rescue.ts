/**
 * Errors become answers here and nowhere else, in the OpenAI error shape (platform.openai.com/docs/guides/error-codes).
 * Gateway worker; pure but for the write.
 */
import type { ErrorRow } from "../base/errors.ts";
import type { Exchange } from "./exchange.ts";
import { ownHead } from "./response-head.ts";

/** What a client should wait before it tries again, seconds. */
const RETRY_AFTER_S = "1";

/** Of a request that is answered with ERRORS.overloaded before anything is known of it; the value of its last header follows. */
export const SHED_HEAD = `503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: ${RETRY_AFTER_S}\r\nx-request-id: `;

const ALLOW_GET = "\r\nallow: GET";
const ALLOW_POST = "\r\nallow: POST";

const UNPAID = 402;
const TOO_MANY = 429;
const SERVER_ERROR = 500;
const UNAVAILABLE = 503;

/** Rows whose message names the request's field: `error.param`. */
const PARAMS: Readonly<Record<string, string>> = { model_missing: "model", model_not_found: "model" };

/** The JSON body; `detail` stands for `%` in the message. */
export function errorBody(error: ErrorRow, detail: string): string {
  const message = error.message.replace("%", () => detail);
  const param = error.code === "invalid_type" || error.code === "duplicate_field" ? detail : PARAMS[error.code];
  return JSON.stringify({ error: { message, type: error.type, param: param ?? null, code: error.code } });
}

/** The same as a server-sent event: the last one of a stream that broke. */
export function errorEvent(error: ErrorRow, detail: string): string {
  return `data: ${errorBody(error, detail)}\n\n`;
}

/** Answers an exchange that has sent nothing yet. */
export function answerError(exchange: Exchange, error: ErrorRow): void {
  let extra = "";
  const advises = exchange.retryLines !== "";
  if (error.status === UNAVAILABLE && !advises) extra += `\r\nretry-after: ${RETRY_AFTER_S}`;
  // The OpenAI SDKs retry every 429 and 5xx unless they are told not to; others may retry 402, which no waiting of theirs helps.
  if (
    (error.status >= SERVER_ERROR || error.status === TOO_MANY || error.status === UNPAID) &&
    !error.retryable &&
    !advises
  )
    extra += "\r\nx-should-retry: false";
  if (error.code === "method_not_allowed") extra += exchange.path.startsWith("/v1/models") ? ALLOW_GET : ALLOW_POST;
  exchange.down.reply(ownHead(exchange, extra), errorBody(error, exchange.detail));
}
