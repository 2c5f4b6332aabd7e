/**
 * What tries teach about their targets, for strategies that choose by it: when they began to answer, and what their providers say of
 * their limits. Gateway worker; called for targets that routes choose among, and does nothing for those of other strategies.
 */

import { wallMs } from "../base/clock.ts";
import type { Choice } from "../config/snapshot.ts";
import { TARGET_AT } from "../shm/targets.ts";
import type { ResponseHead } from "../upstream/transport.ts";
import { tokensOf } from "./choose-headroom.ts";
import { latencyAt } from "./choose-latency.ts";
import type { Exchange } from "./exchange.ts";
import { CLIENT_ERROR } from "./failure.ts";
import { leaveAlone, report, spend } from "./headroom.ts";
import { ask, observe, observeFailure } from "./latency.ts";
import { tickOf } from "./machine-ticks.ts";
import { readRateHeaders, requestsReport, tokensReport } from "./rate-headers.ts";

/** A try at `choice`, which is the exchange's, begins. */
export function noteAsked(exchange: Exchange, choice: Choice, clock: () => number): void {
  if (choice.learns === null) return;
  const { learned } = choice.state;
  exchange.triedMs = clock();
  if (choice.learns === "latency") {
    ask(learned, latencyAt(exchange), tickOf(wallMs(exchange.triedMs)));
    return;
  }
  exchange.requestsMark = spend(learned, TARGET_AT.requests, 1);
  exchange.tokensMark = spend(learned, TARGET_AT.tokens, tokensOf(exchange));
}

/** The head of an answer has come, whatever it says. `waitMs`: for which the provider wants to be left alone. */
export function noteHead(exchange: Exchange, { lines }: ResponseHead, waitMs: number, atWallMs: number): void {
  const { choice } = exchange;
  if (choice === null || choice.learns !== "headroom") return;
  const { learned } = choice.state;
  const now = tickOf(atWallMs);
  if (waitMs > 0) leaveAlone(learned, waitMs, now);
  if (!readRateHeaders(lines, atWallMs)) return;
  report(learned, TARGET_AT.requests, requestsReport, exchange.requestsMark, now);
  report(learned, TARGET_AT.tokens, tokensReport, exchange.tokensMark, now);
}

/** The first bytes of an answer have come. What a provider refuses is no measure of it. */
export function noteAnswer(exchange: Exchange, choice: Choice, atMs: number): void {
  if (choice.learns !== "latency" || exchange.upstreamStatus >= CLIENT_ERROR) return;
  observe(choice.state.learned, latencyAt(exchange), atMs - exchange.triedMs, tickOf(wallMs(atMs)));
}

/** The try failed. */
export function noteFailure(exchange: Exchange, choice: Choice, atWallMs: number): void {
  if (choice.learns !== "latency") return;
  const ms = atWallMs - wallMs(exchange.triedMs);
  observeFailure(choice.state.learned, latencyAt(exchange), ms, tickOf(atWallMs));
}
