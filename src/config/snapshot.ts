/**
 * The snapshot: what one configuration means, compiled for look-ups. Immutable after compile.ts made it; a request keeps
 * the one that it began with. Lives in every gateway worker.
 */

import type { InFlight } from "../base/in-flight.ts";
import type { LimitRule } from "../base/limit-terms.ts";

/** Price of a model in pico-dollars per token (1 USD per million tokens is 1,000,000), so that all of it is integers. */
export interface Price {
  readonly inputPico: number;
  readonly cachedInputPico: number;
  readonly outputPico: number;
}

export interface KeyRecord {
  /** Its place in `keyRecords`. */
  readonly number: number;
  readonly name: string;
  /** Label block for records, KEY_LABEL_BYTES. */
  readonly label: Uint8Array;
  readonly enabled: boolean;
  /** Wall-clock milliseconds; Infinity: never. */
  readonly expiresAtMs: number;
  /** Aliases that the key may use; null: all. */
  readonly models: ReadonlySet<string> | null;
  /** Whose it is; null: nobody's. */
  readonly team: string | null;
  /** Whether its requests may ask how they were decided (x-sluice-explain). */
  readonly explain: boolean;
  /** Among those that wait for a limit: lower ones first. */
  readonly priority: number;
  /** What conditions can ask of it, by name: its metadata, its name and its team. */
  readonly facts: ReadonlyMap<string, string>;
  /** Bits of OVERRIDES that its requests may use. */
  readonly overrides: number;
}

/** native: HTTP/1.1 by the addon. undici: also HTTP/2 and proxies. */
export type TransportName = "native" | "undici";

/** How a provider's TLS is made; each part may be absent. */
export interface ProviderTls {
  /** PEM of certificate authorities that are trusted in addition to the system's. */
  readonly ca: string | null;
  /** PEM of our own certificate and its key. */
  readonly client: { readonly certificates: string; readonly key: string } | null;
  /** Asked for, and verified, instead of the host of the URL. */
  readonly serverName: string | null;
}

/** One of several credentials of a provider. */
export interface Credential {
  /** Its place in the list, below CREDENTIALS_MAX. */
  readonly place: number;
  /** Where it came from, for the operator. */
  readonly source: string;
  /** As Provider.lines, with this one. */
  readonly lines: string;
  /** Its slot of the map of breakers (shm/breakers.ts): all workers know together whether it is left alone. */
  readonly state: Int32Array;
}

/** Several credentials that requests take turns with. */
export interface Rotation {
  /** At least two. */
  readonly credentials: readonly Credential[];
  /** Where the next turn begins: this worker's. */
  readonly turn: { next: number };
}

/** How a provider is asked whether it is well. */
export interface HealthCheck {
  /** Path and query. */
  readonly path: string;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** In a row. */
  readonly unhealthyAfter: number;
  readonly healthyAfter: number;
  /** Of good answers, both included. */
  readonly status: { readonly from: number; readonly to: number };
  /** Its slot of the map of breakers. */
  readonly state: Int32Array;
}

/** One upstream API with its credentials. */
export interface Provider {
  readonly name: string;
  readonly label: Uint8Array;
  /** scheme://host:port */
  readonly origin: string;
  /** What carries requests to it. */
  readonly transport: TransportName;
  readonly tls: ProviderTls;
  /** HTTP/2 where the provider takes it. */
  readonly http2: boolean;
  /** URL of an HTTP proxy; null: none. */
  readonly proxy: string | null;
  /** What the proxy is sent as Proxy-Authorization; null: nothing. */
  readonly proxyAuthorization: string | null;
  /** The credentials themselves, to find them where a provider quotes one. */
  readonly secrets: readonly Buffer[];
  /** Null: it has one credential, or none. */
  readonly rotation: Rotation | null;
  /** Null: it is not checked. */
  readonly health: HealthCheck | null;
  /** First credential and fixed headers as they are sent: CRLF name: value for each, lower-case names, validated. */
  readonly lines: string;
  /** The names in `lines`: a client's header of that name is not forwarded. */
  readonly headerNames: ReadonlySet<string>;
}

/** Where a request goes: a provider, and the model name and path there. */
export interface Target {
  /** Its place among the targets of the snapshot. */
  readonly number: number;
  readonly provider: Provider;
  /** Path in front of the client's path without its /v1; no slash at its end; "{model}" already replaced. */
  readonly basePath: string;
  /** Fixed query ("api-version=..."), without "?"; empty: none. */
  readonly query: string;
  /** Model name upstream; null: the client's. */
  readonly upstreamModel: string | null;
  /** `upstreamModel` as a JSON string with its quotes; null when the client's name is kept. */
  readonly upstreamModelJson: Uint8Array | null;
  /** Label block, MODEL_LABEL_BYTES; empty label when the client's name is kept. */
  readonly upstreamModelLabel: Uint8Array;
  /** Price by upstream model name or alias; null: none is configured, or the name is the client's (then look in `prices`). */
  readonly price: Price | null;
  /** Whether the provider takes stream_options.include_usage. */
  readonly usageOption: boolean;
  /** Number of the latency histograms of this target by this route: series.ts. */
  readonly series: number;
  /** Null: everything is assumed. */
  readonly capability: Capability | null;
}

/** What a target can take. */
export interface Capability {
  /** Tokens of prompt and answer together; Infinity: not known. */
  readonly contextTokens: number;
  /** Bits of FEATURES. */
  readonly supports: number;
}

/** How a target is chosen among those of the same priority. */
export const STRATEGIES = [
  "priority",
  "weighted",
  "round_robin",
  "least_in_flight",
  "latency",
  "cost",
  "headroom",
  "hash",
] as const;
export type Strategy = (typeof STRATEGIES)[number];

/** What requests go by, of the strategy `hash`. */
export interface HashBy {
  readonly by: "key" | "user" | "header";
  /** CRLF name: of the header, in lower case; empty: it is none. */
  readonly line: string;
}

/** What workers know of a target, kept over reloads. */
export interface TargetState {
  /** Attempts of all workers, of routes that have a choice (shm/in-flight.ts). */
  readonly inFlight: InFlight;
  /** Its slot of the map of breakers (shm/breakers.ts). */
  readonly breaker: Int32Array;
  /** Its slot of the map of targets (shm/targets.ts). */
  readonly learned: Int32Array;
}

/** One of several targets of a route. */
export interface Choice {
  readonly target: Target;
  /** Its place in `choices`, below TARGETS_MAX. */
  readonly place: number;
  readonly weight: number;
  readonly priority: number;
  /** Where it stands for the strategy `hash`: by its name, 32 bits. */
  readonly point: number;
  /** What its route's strategy learns from answers; null: nothing. */
  readonly learns: "latency" | "headroom" | null;
  readonly state: TargetState;
}

/** What keeps a request at its arm. */
export const STICKY = ["key", "user", "header", "none"] as const;
export type Sticky = (typeof STICKY)[number];

/** One of several parts that a model's requests are shared out to. */
export interface Arm {
  readonly name: string;
  /** Beside those of the others. */
  readonly share: number;
  readonly seed: number;
  /** Its slot of the map of arms (shm/arms.ts). */
  readonly words: Int32Array;
  readonly canary: boolean;
  /** What records of its requests say: arm=NAME. */
  readonly decision: string;
  /** How its requests go is counted, for the comparison of a canary with the stable side. */
  readonly judged: boolean;
}

/** When a canary is rolled back: it is worse than the stable side, by both being counted in the same window. */
export interface RollbackRules {
  /** Points of a hundred more than the stable side's. */
  readonly errorPercent: number;
  /** Of the stable side's. */
  readonly latencyPercent: number;
  readonly percentile: number;
  /** Judged ones, of either side. */
  readonly requests: number;
  readonly windowMs: number;
}

export interface Arms {
  readonly sticky: Sticky;
  /** CRLF name: */
  readonly header: string;
  /** One for each arm; of a canary the stable side first. */
  readonly routes: readonly Route[];
}

/** The values of which one is enough. */
export interface Test {
  readonly exact: ReadonlySet<string>;
  readonly prefixes: readonly string[];
  /** Those of `exact` that are numbers. */
  readonly numbers: ReadonlySet<number>;
}

/** What has to hold of a request; all of it. */
export interface Condition {
  readonly keys: readonly { readonly name: string; readonly test: Test }[];
  /** `line`: what its line begins with, with the CRLF before it. `own`: it is not forwarded. */
  readonly headers: readonly { readonly line: string; readonly own: boolean; readonly test: Test }[];
  /** `place`: in `Snapshot.fields`. */
  readonly body: readonly { readonly place: number; readonly test: Test }[];
  readonly stream: boolean | null;
  /** Bits of FEATURES: all of them, none of them, and at least one if there are any. */
  readonly has: number;
  readonly lacks: number;
  readonly someOf: number;
  readonly promptTokensMin: number;
  readonly promptTokensMax: number;
}

/** A route with its condition. */
export interface ConditionalRoute {
  readonly when: Condition;
  readonly route: Route;
}

/** Copies of a route's requests go elsewhere as well. */
export interface Shadow {
  /** From 0 to 1. */
  readonly share: number;
  /** Copies of one worker at a time. */
  readonly inFlight: number;
  /** Of the copies: with one target and one try. */
  readonly route: Route;
}

/** What workers know of a route together, kept over reloads. Beside what is known of targets the only thing in a snapshot that changes. */
export interface RouteState {
  /** One word: the place where the next turn begins, for strategies that go round. */
  readonly turn: Int32Array;
  /** One word: how long answers usually are (pipeline/answer-size.ts). */
  readonly answers: Int32Array;
  /** How many of the requests of its model were hedged (pipeline/retry-budget.ts). */
  readonly budget: Int32Array;
}

export interface Route extends RouteState {
  /** Its place among the routes of the snapshot. */
  readonly number: number;
  /** Model name that clients use; "*" for the route that takes any. */
  readonly alias: string;
  /** The alias, or alias/name of a route with conditions. */
  readonly name: string;
  /** What records of its requests say of it: route=NAME; empty: it is the model's own. */
  readonly decision: string;
  /** Routes that come before it, of its alias; null: there are none. */
  readonly before: readonly ConditionalRoute[] | null;
  /** No targets: what none of those before it takes is refused. */
  readonly isEmpty: boolean;
  /** Some target of it does not take everything. */
  readonly hasCapabilities: boolean;
  readonly label: Uint8Array;
  /** The only one, or the first of `choices`. */
  readonly target: Target;
  /** By priority, then as in the file; empty: there is no choice. */
  readonly choices: readonly Choice[];
  /** Null: it has none. */
  readonly fallbacks: Fallbacks | null;
  /** Null: its targets are never left alone. */
  readonly breaker: BreakerRules | null;
  readonly strategy: Strategy;
  /** Of the strategy `hash`; null: by the key. */
  readonly hashBy: HashBy | null;
  /** More of a request's body than its model decides which of `choices` it has, or which of the routes before it. */
  readonly readsBody: boolean;
  /** Tries of one request at most. */
  readonly attempts: number;
  /** Whether targets are tried again that were tried. */
  readonly retries: boolean;
  /** A request may be sent more than once, so its body is kept as it is. */
  readonly repeats: boolean;
  /** Null: one attempt at a time. */
  readonly hedge: HedgeRules | null;
  /** Its requests go to the routes of these instead; null: they do not. */
  readonly arms: Arms | null;
  /** The arm that it is the route of; null: of none. */
  readonly arm: Arm | null;
  /** Bits of the choices that are not tried again after a pause: those of a canary. */
  readonly once: number;
  readonly shadow: Shadow | null;
}

/** When a second attempt goes out beside one that is slow: `hedge` of a model. */
export interface HedgeRules {
  /** Null: as long as 95 of 100 attempts took. */
  readonly afterMs: number | null;
  /** Of 100 requests. */
  readonly percentMax: number;
  /** Of a worker. */
  readonly inFlightMax: number;
}

/** Every route of a snapshot, by its number. */
export function routesOf({ routes, anyModel }: Snapshot): readonly Route[] {
  const last = [...routes.values(), ...(anyModel === null ? [] : [anyModel])];
  const all = last.flatMap((route) => [...(route.before ?? []).map((before) => before.route), route]);
  return all.sort((a, b) => a.number - b.number);
}

/** Every target of a snapshot. */
export function targetsOf(snapshot: Snapshot): readonly Target[] {
  const { passthrough } = snapshot;
  const routed = routesOf(snapshot).flatMap(({ target, choices, fallbacks, shadow }) => [
    target,
    ...(shadow === null ? [] : [shadow.route.target]),
    ...[...choices, ...(fallbacks?.extra ?? [])].map((choice) => choice.target),
  ]);
  return passthrough === null ? routed : [...routed, passthrough];
}

/** Failures of a try that another one may follow. */
export const FAILURES = [
  "connect",
  "reset",
  "timeout",
  "rate_limit",
  "server_error",
  "credential",
  "conflict",
] as const;
/** Failures of a request at a model, which only a fallback of their own follows. */
export const REQUEST_FAILURES = ["context_length", "content_filter"] as const;
export type Failure = (typeof FAILURES)[number] | (typeof REQUEST_FAILURES)[number];

/** Its bit, `1 << place` in both lists together. */
export function failureBit(failure: Failure): number {
  return 1 << [...FAILURES, ...REQUEST_FAILURES].indexOf(failure);
}

/** Targets of a route behind its `choices`, by the failure that leads to them. */
export interface Fallbacks {
  /** By the place of the failure's bit; without one of its own, a failure of a provider has that of `default`. */
  readonly chains: readonly (readonly Choice[])[];
  /** For when each of the `choices` is left alone. */
  readonly instead: readonly Choice[];
  /** All that are not among the `choices`. */
  readonly extra: readonly Choice[];
  /** Bits of failures that are told by the text of an error. */
  readonly read: number;
}

/** The section `retries` of the file. */
export interface Retries {
  /** Bits `1 << place` of FAILURES. */
  readonly failures: number;
  readonly pauseMs: number;
  readonly pauseMaxMs: number;
  readonly budgetPercent: number;
  readonly budgetMin: number;
}

/** The section `breaker` of the file. */
export interface BreakerRules {
  readonly enabled: boolean;
  /** In a row. */
  readonly failures: number;
  readonly errorPercent: number;
  /** Tries of a window from which on errorPercent counts. */
  readonly requests: number;
  readonly windowMs: number;
  readonly cooldownMs: number;
  readonly cooldownMaxMs: number;
}

/** The section `rate_limit_queue` of the file. */
export interface WaitRules {
  readonly maxWaitMs: number;
  /** Of one worker. */
  readonly maxRequests: number;
  readonly maxBytes: number;
}

export interface Timeouts {
  readonly connectMs: number;
  readonly firstByteMs: number;
  readonly idleMs: number;
  readonly totalMs: number;
  readonly queueMs: number;
  readonly stallMs: number;
  readonly drainMs: number;
  readonly upstreamKeepAliveMs: number;
}

export interface Bounds {
  readonly bodyBytes: number;
  readonly bodyBytesInFlight: number;
  readonly jsonDepth: number;
  readonly connectionsPerProvider: number;
  readonly queuePerProvider: number;
}

export interface Snapshot {
  readonly epoch: number;
  /** By SHA-256 of the key, lower-case hex. */
  readonly keys: ReadonlyMap<string, KeyRecord>;
  readonly keyRecords: readonly KeyRecord[];
  readonly routes: ReadonlyMap<string, Route>;
  /** The route of models: "*"; null: none. */
  readonly anyModel: Route | null;
  /** Target for requests that name no model; null: they are refused. */
  readonly passthrough: Target | null;
  /** By upstream model name, for targets that keep the client's name. */
  readonly prices: ReadonlyMap<string, Price>;
  readonly timeouts: Timeouts;
  readonly retries: Retries;
  /** How many requests were tried again, of all routes (pipeline/retry-budget.ts). */
  readonly retried: Int32Array;
  /** Of all routes. */
  readonly hedges: InFlight;
  readonly breaker: BreakerRules;
  readonly bounds: Bounds;
  /** How long a turn of the loop may take before requests are shed, milliseconds; 0: none are. */
  readonly shedDelayMs: number;
  /** Whether records have the client's address: it is personal data, and only the access log shows it. */
  readonly recordAddress: boolean;
  /** Fields of bodies that conditions ask for; null: nothing that only they and capabilities ask for is looked for. */
  readonly fields: readonly string[] | null;
  /** Whether limits count, or routes choose, by the `user` of requests. */
  readonly readUser: boolean;
  /** Whether it is read at all: limits may count by it. */
  readonly readAddress: boolean;
  /** Whether any provider is checked. */
  readonly checksHealth: boolean;
  /** Whether a request that met a stale connection is sent once more. */
  readonly replayStale: boolean;
  readonly limits: readonly LimitRule[];
  /** Null: nothing waits for a limit. */
  readonly queue: WaitRules | null;
  /** Where users are named, as it stands in the lines of a head: CRLF name: and a space; empty: in bodies only. */
  readonly userHeader: string;
  /** Seconds since 1970 when this configuration was loaded: `created` in /v1/models. */
  readonly loadedAtS: number;
}

/** Sizes of label blocks, bytes including the length byte: the record's layout. */
export const KEY_LABEL_BYTES = 48;
export const MODEL_LABEL_BYTES = 80;
export const PROVIDER_LABEL_BYTES = 48;
