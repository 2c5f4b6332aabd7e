/** What tries say about targets: their breakers are told, and the operator when one opens or closes. Gateway worker; pure but for the map. */
import { ERRORS, type ErrorRow } from "../base/errors.ts";
import { fail, spoil, succeed } from "./breaker.ts";
import type { Exchange } from "./exchange.ts";
import { CLIENT_ERROR, failureOf, failureOfStatus, isOfTarget } from "./failure.ts";
import { noteFailure } from "./lessons.ts";

/** A breaker opened or closed. */
export interface BreakerChange {
  readonly provider: string;
  /** Upstream; "*": the client's. */
  readonly model: string;
  readonly open: boolean;
  /** Of the request that decided it. */
  readonly requestId: string;
}

/** Our own bounds: they say nothing about the target. */
const OURS = new Set<ErrorRow>([ERRORS.upstreamQueueFull, ERRORS.upstreamQueueTimeout]);
/** In the middle of an answer. */
const BREAKS = new Set<ErrorRow>([
  ERRORS.upstreamCut,
  ERRORS.upstreamIdleTimeout,
  ERRORS.upstreamProtocol,
  ERRORS.upstreamReset,
]);

export class TargetHealth {
  readonly #chance: () => number;
  readonly #tell: (change: BreakerChange) => void;

  constructor(chance: () => number, tell: (change: BreakerChange) => void) {
    this.#chance = chance;
    this.#tell = tell;
  }

  /** An attempt ended without anything of an answer for the client; the head of an error has been told of. */
  error(exchange: Exchange, error: ErrorRow, wallMs: number): void {
    const failure = failureOf(error);
    if (failure === 0 || OURS.has(error)) return;
    if (exchange.upstreamStatus >= CLIENT_ERROR) this.broke(exchange, error, wallMs);
    else this.answer(exchange, failure, 0, wallMs);
  }

  /** An answer broke off that was told of: one that is no failure by its status turns out to be one. */
  broke(exchange: Exchange, error: ErrorRow, wallMs: number): void {
    const { choice, route, upstreamStatus } = exchange;
    if (choice === null || route === null || !BREAKS.has(error)) return;
    if (isOfTarget(failureOfStatus(upstreamStatus))) return;
    noteFailure(exchange, choice, wallMs);
    if (route.breaker === null) return;
    if (spoil(choice.state.breaker, wallMs, route.breaker, this.#chance())) this.#changed(exchange, true);
  }

  /** An answer began; `failure`: the kind of one that is none, or 0. */
  answer(exchange: Exchange, failure: number, retryAfterMs: number, wallMs: number): void {
    const { choice, probing, route } = exchange;
    if (choice === null || route === null) return;
    if (isOfTarget(failure)) noteFailure(exchange, choice, wallMs);
    if (route.breaker === null) return;
    exchange.probing = false;
    const { breaker: slot } = choice.state;
    if (!isOfTarget(failure)) {
      if (succeed(slot, wallMs, route.breaker, probing)) this.#changed(exchange, false);
    } else if (fail(slot, wallMs, route.breaker, probing, retryAfterMs, this.#chance())) this.#changed(exchange, true);
  }

  #changed({ target, requestId }: Exchange, open: boolean): void {
    if (target === null) return;
    this.#tell({ provider: target.provider.name, model: target.upstreamModel ?? "*", open, requestId });
  }
}
