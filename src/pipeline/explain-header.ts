/**
 * The header `x-sluice-explain` of an answer, for a request that asks for it with a key that may (`explain: true`): which route, strategy,
 * target and tries, which breakers and which limits decided. One line of name=value, in a fixed order; what does not apply is left out.
 * Gateway worker. Who does not ask costs one comparison.
 */
import { EXPLAINED_LIMITS_MAX } from "../base/limits.ts";
import { named } from "../base/named.ts";
import type { PeekedLimit } from "../shm/limits.ts";
import { passedOverTexts, targetText, tryText, waitedText } from "./decision.ts";
import type { Exchange } from "./exchange.ts";
import { CLIENT_ERROR } from "./failure.ts";
import type { Limiter } from "./limit.ts";

const ASKS = /\r\nx-sluice-explain: (?:1|true)(?=\r\n|$)/;

/** Whether it is to be told. */
function asks({ ownLines, key }: Exchange): boolean {
  return ownLines !== "" && key?.explain === true && ASKS.test(ownLines);
}

/** How its limits stand, before it is admitted. */
export function noteLimits(exchange: Exchange, limiter: Limiter): void {
  if (!asks(exchange)) return;
  const { limits } = limiter.peek(exchange);
  exchange.limitsTold = limits.slice(0, EXPLAINED_LIMITS_MAX).map(limitText).join(",");
  // Only what admit() says counts.
  exchange.detail = "";
  exchange.refusedBy = "";
  exchange.retryLines = "";
}

/** "key:requests:588/600": what was left of the limit. */
function limitText({ rule, left }: PeekedLimit): string {
  return `${named(rule.name)}:${rule.quantity}:${left}/${rule.limit}`;
}

/** CRLF name: value; empty: nobody asked. */
export function explainLine(exchange: Exchange): string {
  if (!asks(exchange)) return "";
  const { route, target, limitsTold, refusedBy } = exchange;
  const parts = [
    route === null ? "" : `route=${named(route.name)}`,
    route?.arm?.decision ?? "",
    route === null || route.choices.length === 0 ? "" : `strategy=${route.strategy}`,
    waitedText(exchange),
    target === null ? "" : `target=${targetText(exchange, target, exchange.credential)}`,
    timeoutText(exchange),
    triesText(exchange),
    ...passedOverTexts(exchange),
    limitsTold === "" ? "" : `limits=${limitsTold}`,
    refusedBy === "" ? "" : `limit=${named(refusedBy)}`,
  ];
  return `\r\nx-sluice-explain: ${parts.filter((part) => part !== "").join("; ")}`;
}

/** Where it gave itself less time than the configuration does. */
function timeoutText({ totalMs, snapshot }: Exchange): string {
  return totalMs < snapshot.timeouts.totalMs ? `timeout_ms=${totalMs}` : "";
}

/** All that failed, and the last one. */
function triesText(exchange: Exchange): string {
  const { attempts, failedTries, target } = exchange;
  if (attempts === 0 || target === null) return "";
  const last = `${targetText(exchange, target, exchange.credential)}:${endText(exchange)}`;
  return `tries=${[...(failedTries ?? []).map((failed) => tryText(exchange, failed)), last].join(",")}`;
}

/** The status that it was answered with, or the error that it ended with, also behind the head of a good answer. */
function endText({ upstreamStatus, error }: Exchange): string {
  const isGood = upstreamStatus < CLIENT_ERROR;
  if (upstreamStatus > 0 && (error === null || !isGood)) return String(upstreamStatus);
  return error?.code ?? "none";
}
