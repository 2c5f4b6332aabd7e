/**
 * What `sluice explain` asks of a gateway, and what it is told: what would become of a request that nobody makes. Command line, control
 * socket, supervisor and workers.
 */
import type { LimitPart, LimitQuantity } from "../base/limit-terms.ts";
import type { WaitDrop } from "../base/wait-drops.ts";

/** The request, as a client would make it. */
export interface ExplainQuestion {
  /** Name of the key that it comes with. */
  readonly key: string;
  readonly path: string;
  /** Flat list name, value; names in lower case. */
  readonly headers: readonly string[];
  /** JSON. */
  readonly body: string;
  /** Of the client; empty: limits by address are left out. */
  readonly address: string;
}

export function isExplainQuestion(value: unknown): value is ExplainQuestion {
  if (typeof value !== "object" || value === null) return false;
  const { key, path, headers, body, address } = value as Record<string, unknown>;
  const texts: readonly unknown[] = Array.isArray(headers) && headers.length % 2 === 0 ? headers : [null];
  return [key, path, body, address, ...texts].every((text) => typeof text === "string");
}

export type KeyState = "enabled" | "disabled" | "expired";

export interface ExplainedKey {
  readonly name: string;
  readonly team: string | null;
  readonly state: KeyState;
  /** Null: all. */
  readonly models: readonly string[] | null;
}

/** USD per million tokens. */
export interface ExplainedPrice {
  readonly input: number;
  readonly cachedInput: number;
  readonly output: number;
}

/** Several credentials of a provider, by their numbers in its list, from 1. */
export interface ExplainedCredentials {
  readonly count: number;
  /** The one whose turn it is in the worker that was asked. */
  readonly next: number;
  /** Those that are left alone, because they were refused or limited. */
  readonly resting: readonly number[];
}

export interface ExplainedTarget {
  readonly provider: string;
  /** Its name there. */
  readonly model: string;
  readonly priority: number;
  readonly weight: number;
  /** Percent of requests such as this one that begin at it. */
  readonly share: number;
  /** Its place in the order in which targets are most likely tried, from 1; 0: it is not tried. */
  readonly order: number;
  /** Failures of others that lead to it, where nothing else does: it is a fallback. */
  readonly after: readonly string[];
  /** Why it is not tried, or not now; null: nothing is in the way. */
  readonly obstacle: string | null;
  /** Attempts of all workers. */
  readonly inFlight: number;
  /** Null: its provider has no choice of them, or the request has always the first one. */
  readonly credentials: ExplainedCredentials | null;
  /** Null: none is known. */
  readonly price: ExplainedPrice | null;
}

export interface ExplainedArm {
  readonly name: string;
  /** Of all requests. */
  readonly percent: number;
  /** Rolled back: its requests go to the others. */
  readonly closed: boolean;
}

export interface ExplainedRoute {
  /** The model's name in the configuration, or model/route; "*" for the one that takes any; "": the passthrough. */
  readonly name: string;
  /** Null: there is one target. */
  readonly strategy: string | null;
  readonly attempts: number;
  /** A second attempt goes out beside one that is slow; null: none does. */
  readonly hedge: { /** Null: as long as 95 of 100 attempts took. */ readonly afterMs: number | null } | null;
  /** Of split or canary; null: it has none. */
  readonly arm: string | null;
  /** Where copies of it go, with an answer that nobody gets; null: there are none. */
  readonly shadow: {
    readonly provider: string;
    readonly model: string /** Of all requests. */;
    readonly percent: number;
  } | null;
  /** Those that its requests are shared out between. */
  readonly arms: readonly ExplainedArm[];
}

export interface ExplainedLimit {
  readonly name: string;
  readonly quantity: LimitQuantity;
  readonly scope: readonly LimitPart[];
  /** A cost is in nano-dollars. */
  readonly limit: number;
  /** Units at once; of what is no rate, the limit. */
  readonly burst: number;
  /** "minute", "month, Europe/Berlin"; "": at a time. */
  readonly per: string;
  readonly isBudget: boolean;
  readonly observes: boolean;
  /** What the request takes, and what there is before it does. */
  readonly takes: number;
  readonly left: number;
  /** Until all of it is there again; 0: it is, or nobody knows. */
  readonly resetMs: number;
  readonly admits: boolean;
}

/** Instead of a provider's answer. */
export interface ExplainedRefusal {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  /** 0: it is not said. */
  readonly retryAfterMs: number;
  /** It waits in memory for at most so long first, and is admitted when there is room meanwhile; 0: it is refused at once. */
  readonly waitMs: number;
}

/** Of the worker that was asked. */
export interface ExplainedQueue {
  /** The limit that it would have to wait for; null: it would not have to. */
  readonly limit: string | null;
  /** Others that go first, if nobody else comes. */
  readonly ahead: number;
  /** So long at most; 0: it is refused at once. */
  readonly waitMs: number;
  /** Why it is, though it would wait; null: for no such reason. */
  readonly drop: WaitDrop | null;
  /** How many wait, the bytes of their bodies, and how much of both there may be. */
  readonly requests: number;
  readonly bytes: number;
  readonly maxRequests: number;
  readonly maxBytes: number;
}

export interface Explanation {
  /** How many workers there are, and how many of them shed load within the last second; null: nobody was asked. */
  readonly workers: { readonly serving: number; readonly shedding: number } | null;
  /** Null: there is no key of this name. */
  readonly key: ExplainedKey | null;
  readonly model: string;
  readonly stream: boolean;
  /** Estimated, and what the request allows; -1: it does not say. */
  readonly promptTokens: number;
  readonly outputTokensMax: number;
  /** Of all that becomes of it: `timeouts.total`, or less where it wants it so. */
  readonly timeoutMs: number;
  /** Null: the request came to none. */
  readonly route: ExplainedRoute | null;
  readonly targets: readonly ExplainedTarget[];
  readonly limits: readonly ExplainedLimit[];
  /** Null: requests do not wait for rate limits, or this one does not come so far. */
  readonly queue: ExplainedQueue | null;
  /** Null: the request goes to a target. */
  readonly refusal: ExplainedRefusal | null;
}

/** What the control socket answers; `error`: it could not be told. */
export type ExplainOutcome = { readonly explanation: Explanation } | { readonly error: string };
