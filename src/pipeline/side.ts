/**
 * A side of an exchange: what belongs to one attempt, for exchanges that have two at a time. Gateway worker. The exchange itself has what
 * belongs to the one that everything else knows of; to do something with the other one, or to make it the one, both change places.
 */
import type { Choice, Target } from "../config/snapshot.ts";
import type { Attempt, UpstreamRequest } from "../upstream/transport.ts";
import { type Exchange, PHASE_QUEUED } from "./exchange.ts";
import type { Splice } from "./splice.ts";

export class Side {
  choice: Choice | null = null;
  target: Target | null = null;
  targetTicket = -1;
  counted = false;
  probing = false;
  triedMs = 0;
  requestsMark = 0;
  tokensMark = 0;
  credential = -1;
  credentialsTried = 0;
  body: Buffer | null;
  bodyBytes: number;
  splices: Splice[] | null;
  usageAdded = false;
  request: UpstreamRequest | null = null;
  attempt: Attempt | null = null;
  attemptPhase = PHASE_QUEUED;
  attemptMs = 0;
  phase = PHASE_QUEUED;
  progressMs = 0;
  sent = false;
  upstreamStatus = 0;
  headMs = 0;
  failureCause = "";

  /** With a copy of the body: the other attempt's is in its transport's hands. */
  constructor(exchange: Exchange) {
    const body = exchange.bodyView();
    this.body = body === null ? null : Buffer.from(body);
    this.bodyBytes = exchange.bodyBytes;
    this.splices = exchange.splices === null ? null : [...exchange.splices];
  }
}

/** Exchange and side change places. */
export function swapSides(exchange: Exchange, side: Side): void {
  [exchange.choice, side.choice] = [side.choice, exchange.choice];
  [exchange.target, side.target] = [side.target, exchange.target];
  [exchange.targetTicket, side.targetTicket] = [side.targetTicket, exchange.targetTicket];
  [exchange.counted, side.counted] = [side.counted, exchange.counted];
  [exchange.probing, side.probing] = [side.probing, exchange.probing];
  [exchange.triedMs, side.triedMs] = [side.triedMs, exchange.triedMs];
  [exchange.requestsMark, side.requestsMark] = [side.requestsMark, exchange.requestsMark];
  [exchange.tokensMark, side.tokensMark] = [side.tokensMark, exchange.tokensMark];
  [exchange.credential, side.credential] = [side.credential, exchange.credential];
  [exchange.credentialsTried, side.credentialsTried] = [side.credentialsTried, exchange.credentialsTried];
  [exchange.body, side.body] = [side.body, exchange.body];
  [exchange.bodyBytes, side.bodyBytes] = [side.bodyBytes, exchange.bodyBytes];
  [exchange.splices, side.splices] = [side.splices, exchange.splices];
  [exchange.usageAdded, side.usageAdded] = [side.usageAdded, exchange.usageAdded];
  [exchange.request, side.request] = [side.request, exchange.request];
  [exchange.attempt, side.attempt] = [side.attempt, exchange.attempt];
  [exchange.attemptPhase, side.attemptPhase] = [side.attemptPhase, exchange.attemptPhase];
  [exchange.attemptMs, side.attemptMs] = [side.attemptMs, exchange.attemptMs];
  [exchange.phase, side.phase] = [side.phase, exchange.phase];
  [exchange.progressMs, side.progressMs] = [side.progressMs, exchange.progressMs];
  [exchange.sent, side.sent] = [side.sent, exchange.sent];
  [exchange.upstreamStatus, side.upstreamStatus] = [side.upstreamStatus, exchange.upstreamStatus];
  [exchange.headMs, side.headMs] = [side.headMs, exchange.headMs];
  [exchange.failureCause, side.failureCause] = [side.failureCause, exchange.failureCause];
}
