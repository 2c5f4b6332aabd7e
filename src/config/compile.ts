/**
 * A Config to the Snapshot that requests look things up in: every header list, path, label and JSON name is made here,
 * once. Every gateway worker, at start and reload. Needs no I/O, and a Config that load.ts accepted cannot fail.
 */
import { createHash } from "node:crypto";
import { assert } from "../base/assert.ts";
import { encodeLabel } from "../base/bytes.ts";
import { bitsOf, FEATURES_ALL } from "../base/features.ts";
import { headerLines } from "../base/header-lines.ts";
import { InFlight } from "../base/in-flight.ts";
import { ARM_WORDS, BREAKER_WORDS, KEY_PRIORITY_DEFAULT, RETRY_BUDGET_WORDS, TARGET_WORDS } from "../base/limits.ts";
import { named } from "../base/named.ts";
import { OVERRIDES } from "../base/overrides.ts";
import type { CapabilityConfig } from "./capability.ts";
import { allTargets, nameOf } from "./chains.ts";
import { type ArmWords, compileArms } from "./compile-arms.ts";
import { ConditionalRoutes, fieldsOf, type RoutePlace } from "./conditional-routes.ts";
import { compileFallbacks } from "./fallback-chains.ts";
import type { HealthCheckConfig } from "./health-check.ts";
import type { ModelConfig } from "./model.ts";
import type { Config, CredentialConfig, KeyConfig, ProviderConfig } from "./schema.ts";
import { NO_ALIAS, SERIES_OTHER, seriesKey } from "./series.ts";
import {
  type BreakerRules,
  type Capability,
  type Choice,
  type HealthCheck,
  KEY_LABEL_BYTES,
  type KeyRecord,
  MODEL_LABEL_BYTES,
  PROVIDER_LABEL_BYTES,
  type Price,
  type Provider,
  type Rotation,
  type Route,
  type RouteState,
  type Shadow,
  type Snapshot,
  type Target,
  type TargetState,
} from "./snapshot.ts";
import { decidesByBody, learnsOf } from "./strategy-needs.ts";

/** What is known of a target by its provider's name and its model's name there; "*": the client's. */
export type StateOf = (provider: string, model: string) => TargetState;

const nothingKnown: StateOf = () => ({
  inFlight: InFlight.alone(),
  breaker: new Int32Array(BREAKER_WORDS),
  learned: new Int32Array(TARGET_WORDS),
});

/** What is known of providers, as slots of the map of breakers, of routes and of hedges. */
export interface Slots {
  /** Of one of several credentials. */
  readonly slotOfCredential: (provider: string, credential: string) => Int32Array;
  readonly slotOfHealth: (provider: string) => Int32Array;
  readonly stateOfRoute: (name: string) => RouteState;
  readonly hedges: () => InFlight;
}

/** Place of a target without latency histograms. */
const NOWHERE = -1;

const nowhere: ArmWords = () => new Int32Array(ARM_WORDS);
const own = () => new Int32Array(BREAKER_WORDS);
const stateOfRoute = (): RouteState => {
  return { turn: new Int32Array(1), answers: new Int32Array(1), budget: new Int32Array(RETRY_BUDGET_WORDS) };
};
/** Of a process that shares with nobody. */
export const OWN_SLOTS: Slots = {
  slotOfCredential: own,
  slotOfHealth: own,
  stateOfRoute,
  hedges: () => InFlight.alone(),
};
/** No route has it. */
const ALL_ROUTES = "";

/** Every provider must have its base URL: that of a demo provider was filled in by the supervisor. */
export function compileSnapshot(
  config: Config,
  epoch: number,
  stateOf: StateOf = nothingKnown,
  slots: Slots = OWN_SLOTS,
  wordsOf: ArmWords = nowhere,
): Snapshot {
  const prices: ReadonlyMap<string, Price> = new Map(Object.entries(config.prices));
  const providers = new Map(
    Object.entries(config.providers).map(([name, provider]) => [name, compileProvider(name, provider, slots)]),
  );
  let targets = 0;
  const target = (
    name: string,
    model: string | null,
    alias: string,
    key: string,
    capable: Capability | null = null,
  ) => {
    const [source, provider] = [config.providers[name], providers.get(name)];
    assert(source !== undefined && provider !== undefined, "a configuration that was checked names existing providers");
    targets += 1;
    const series = config.series.get(key) ?? SERIES_OTHER;
    return compileTarget(targets - 1, source, provider, model, alias, series, prices, capable);
  };
  const fields = fieldsOf(config.models);
  const conditional = new ConditionalRoutes(fields, (place, model) => {
    const { alias } = place;
    const ends = new Map(
      allTargets(model).map((one, index) => {
        const end = target(
          one.provider,
          one.model,
          alias,
          seriesKey(place.name, index),
          compileCapability(one.capability),
        );
        return [nameOf(one), end];
      }),
    );
    const breaker = config.breaker.enabled && model.breaker !== false ? config.breaker : null;
    const { shadow: copies = null } = model;
    const shadow =
      copies === null ? null : target(copies.provider, copies.model, alias, seriesKey(place.name, NOWHERE));
    const routeOf = (part: ModelConfig, stateName: string) => {
      const partEnds = allTargets(part).flatMap((one) => ends.get(nameOf(one)) ?? []);
      const { budget } = slots.stateOfRoute(place.alias);
      const state = { ...slots.stateOfRoute(stateName), budget };
      return compileRoute(place, part, { targets: partEnds, shadow, stateOf, breaker, state });
    };
    const route = routeOf(model, place.name);
    const arms = compileArms(place, model, routeOf, wordsOf);
    const readsBody =
      arms === null ? route.readsBody : arms.sticky === "user" || arms.routes.some((arm) => arm.readsBody);
    return Object.freeze({ ...route, arms, readsBody });
  });
  const routes = Object.entries(config.models).map(([alias, model]) => conditional.routeOf(alias, model));
  const keyRecords = config.keys.map(compileKey);
  return Object.freeze({
    epoch,
    keys: new Map(keyRecords.map((record, number) => [config.keys[number]?.hash ?? "", record])),
    keyRecords,
    routes: new Map(routes.filter(({ alias }) => alias !== "*").map((route) => [route.alias, route])),
    anyModel: routes.find(({ alias }) => alias === "*") ?? null,
    passthrough: config.passthrough === null ? null : target(config.passthrough, null, NO_ALIAS, NO_ALIAS),
    prices,
    breaker: Object.freeze({ ...config.breaker }),
    retries: Object.freeze({ ...config.retries }),
    retried: slots.stateOfRoute(ALL_ROUTES).budget,
    hedges: slots.hedges(),
    timeouts: Object.freeze({ ...config.timeouts }),
    bounds: Object.freeze({ ...config.bounds }),
    shedDelayMs: config.shedDelayMs ?? 0,
    recordAddress: config.accessLogPath !== null,
    fields,
    readUser: readsUser(config),
    readAddress: config.accessLogPath !== null || config.limits.some(({ scope }) => scope.includes("address")),
    checksHealth: Object.values(config.providers).some(({ healthCheck }) => healthCheck),
    replayStale: config.replayStale,
    limits: config.limits,
    queue: config.limits.length === 0 ? null : (config.waitRules ?? null),
    userHeader: config.userHeader ? `\r\n${config.userHeader}: ` : "",
    loadedAtS: Math.floor(config.loadedAtMs / 1000),
  });
}

function readsUser({ limits, models }: Config): boolean {
  return (
    limits.some(({ scope }) => scope.includes("user")) ||
    Object.values(models)
      .flatMap((model) => [model, ...(model.routes ?? []).map(({ to }) => to)])
      .some(({ hashBy, arms }) => hashBy?.by === "user" || arms?.sticky === "user")
  );
}

function compileKey(key: KeyConfig, number: number): KeyRecord {
  return Object.freeze({
    number,
    name: key.name,
    label: encodeLabel(key.name, KEY_LABEL_BYTES),
    enabled: key.enabled,
    expiresAtMs: key.expiresAtMs ?? Number.POSITIVE_INFINITY,
    models: key.models === null ? null : new Set(key.models),
    team: key.team,
    explain: key.explain ?? false,
    priority: key.priority ?? KEY_PRIORITY_DEFAULT,
    facts: factsOf(key),
    overrides: (key.overrides ?? []).reduce((bits, name) => bits | (1 << OVERRIDES.indexOf(name)), 0),
  });
}

/** What conditions can ask of it. */
function factsOf({ name, team, metadata = {} }: KeyConfig): ReadonlyMap<string, string> {
  return new Map([...Object.entries(metadata), ["name", name], ...(team === null ? [] : [["team", team] as const])]);
}

function compileProvider(name: string, config: ProviderConfig, slots: Slots): Provider {
  const { credentials } = config;
  const headers = headersWith(credentials[0], config);
  return Object.freeze({
    name,
    label: encodeLabel(name, PROVIDER_LABEL_BYTES),
    origin: baseUrl(config, "").origin,
    transport: config.transport,
    tls: config.tls,
    http2: config.http2,
    proxy: config.proxy,
    proxyAuthorization: config.proxyAuthorization,
    secrets: credentials.map(({ value }) => Buffer.from(value.replace(/^Bearer /, ""))),
    rotation: credentials.length > 1 ? compileRotation(name, config, slots) : null,
    health: config.healthCheck ? compileHealth(name, config, config.healthCheck, slots) : null,
    lines: headerLines(headers),
    headerNames: new Set(headers.filter((_, index) => index % 2 === 0)),
  });
}

function headersWith(credential: CredentialConfig | undefined, { headers }: ProviderConfig): readonly string[] {
  return credential === undefined ? headers : [credential.header, credential.value, ...headers];
}

function compileRotation(name: string, config: ProviderConfig, slots: Slots): Rotation {
  const credentials = config.credentials.map((credential, place) => ({
    place,
    source: credential.source,
    lines: headerLines(headersWith(credential, config)),
    state: slots.slotOfCredential(name, credential.value),
  }));
  return Object.freeze({ credentials, turn: { next: 0 } });
}

function compileHealth(
  name: string,
  config: ProviderConfig,
  { path, ...rest }: HealthCheckConfig,
  slots: Slots,
): HealthCheck {
  const url = baseUrl(config, "");
  const before = config.baseUrl?.includes("{model}") === true ? "" : pathBefore(url);
  const [own = "", query = ""] = path.split("?", 2);
  const parameters = [query, queryOf(config, url)].filter((part) => part !== "").join("&");
  const whole = `${before}${own}${parameters === "" ? "" : `?${parameters}`}`;
  return Object.freeze({ ...rest, path: whole, state: slots.slotOfHealth(name) });
}

function pathBefore(url: URL): string {
  return url.pathname.replace(/\/+$/, "");
}

function queryOf(config: ProviderConfig, url: URL): string {
  return [url.search.slice(1), config.query].filter((part) => part !== "").join("&");
}

/** The base URL with `model` where it says "{model}". */
function baseUrl(config: ProviderConfig, model: string): URL {
  assert(config.baseUrl !== null, "the supervisor fills in the URL of a demo provider");
  return new URL(config.baseUrl.replaceAll("{model}", () => encodeURIComponent(model)));
}

interface RouteParts {
  /** In the order of allTargets(). */
  readonly targets: readonly Target[];
  readonly stateOf: StateOf;
  /** Of copies; null: there are none. */
  readonly shadow: Target | null;
  readonly breaker: BreakerRules | null;
  readonly state: RouteState;
}

function compileRoute(place: RoutePlace, model: ModelConfig, parts: RouteParts): Route {
  const { targets, stateOf, breaker } = parts;
  const all = targets.length <= 1 && model.fallbacks === undefined ? [] : compileChoices(model, targets, stateOf);
  const choices = all.slice(0, model.targets.length);
  const target = choices[0]?.target ?? targets[0] ?? place.before?.[0]?.route.target;
  assert(target !== undefined, "a model, or the first of its routes, has a target");
  const { strategy, attempts, hashBy = null } = model;
  const route: Route = {
    ...place,
    decision: place.name === place.alias ? "" : `route=${named(place.name)}`,
    isEmpty: targets.length === 0,
    hasCapabilities: targets.some(({ capability }) => capability !== null),
    label: encodeLabel(place.alias, MODEL_LABEL_BYTES),
    target,
    choices,
    fallbacks:
      model.fallbacks === undefined ? null : compileFallbacks(model.fallbacks, all, choices.length, place.alias),
    breaker,
    strategy,
    hashBy,
    readsBody: choices.length > 1 && readsBody(model),
    attempts,
    retries: model.retries ?? true,
    repeats: attempts > 1 || targets.some(({ provider }) => provider.rotation !== null),
    hedge: choices.length > 1 && attempts > 1 ? (model.hedge ?? null) : null,
    ...parts.state,
    arms: null,
    arm: null,
    once: 0,
    shadow: null,
  };
  return Object.freeze({ ...route, shadow: compileShadow(route, model, parts.shadow) });
}

/** One try, at its own target. */
function compileShadow(of: Route, { shadow }: ModelConfig, target: Target | null): Shadow | null {
  if (!shadow || target === null) return null;
  const alone = { choices: [], fallbacks: null, hedge: null, attempts: 1, retries: false, repeats: false };
  const route = Object.freeze({ ...of, ...alone, target });
  return Object.freeze({ share: shadow.percent / 100, inFlight: shadow.inFlight, route });
}

/** Also whose it is. */
function readsBody({ strategy, hashBy }: ModelConfig): boolean {
  return decidesByBody(strategy) || hashBy?.by === "user";
}

/** `targets`: in the order of allTargets(); those that the strategy decides on come first. */
function compileChoices(model: ModelConfig, targets: readonly Target[], stateOf: StateOf): readonly Choice[] {
  const configs = allTargets(model);
  const { strategy } = model;
  const learns = learnsOf(strategy);
  const choices = targets.map((target, index) => {
    const config = configs[index];
    assert(config !== undefined, "a target is made of its configuration");
    const { provider, weight, priority } = config;
    const name = config.model ?? "*";
    return { target, weight, priority, point: pointOf(provider, name), learns, state: stateOf(provider, name) };
  });
  const count = model.targets.length;
  const sorted = choices.slice(0, count).toSorted((a, b) => a.priority - b.priority);
  return [...sorted, ...choices.slice(count)].map((choice, place) => Object.freeze({ ...choice, place }));
}

/** The same in every process, whatever stands beside it. */
function pointOf(provider: string, model: string): number {
  return createHash("sha256").update(`${provider}\n${model}`).digest().readUInt32LE();
}

/** A model that has the same name upstream as its alias keeps the client's bytes, so there is nothing to splice. */
function compileTarget(
  number: number,
  config: ProviderConfig,
  provider: Provider,
  model: string | null,
  alias: string,
  series: number,
  prices: ReadonlyMap<string, Price>,
  capability: Capability | null,
): Target {
  const url = baseUrl(config, model ?? "");
  const upstreamModel = model === alias ? null : model;
  return Object.freeze({
    number,
    provider,
    capability,
    basePath: pathBefore(url),
    query: queryOf(config, url),
    upstreamModel,
    upstreamModelJson: upstreamModel === null ? null : new TextEncoder().encode(JSON.stringify(upstreamModel)),
    upstreamModelLabel: encodeLabel(upstreamModel ?? "", MODEL_LABEL_BYTES),
    price: model === null ? null : (prices.get(model) ?? prices.get(alias) ?? null),
    usageOption: config.usageOption,
    series,
  });
}

function compileCapability(config: CapabilityConfig | null | undefined): Capability | null {
  if (config === null || config === undefined) return null;
  const { contextTokens, supports } = config;
  return Object.freeze({
    contextTokens: contextTokens ?? Number.POSITIVE_INFINITY,
    supports: supports === null ? FEATURES_ALL : bitsOf(supports),
  });
}
