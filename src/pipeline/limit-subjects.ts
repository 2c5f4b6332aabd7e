/**
 * Whom limits count a request for: its key, team, user, client address, model, route, target and provider. Those of the configuration have
 * numbers, which are found by the numbers that keys, routes and targets have in the snapshot; what clients choose, and where they come from, goes as
 * a text. Gateway worker.
 */
import { unmapped } from "../base/address.ts";
import type { LimitPart } from "../base/limit-terms.ts";
import { type Route, routesOf, type Snapshot, type Target } from "../config/snapshot.ts";
import { LIMIT_AT, type LimitsMap } from "../shm/limits.ts";
import type { Exchange } from "./exchange.ts";

const { key: KEY, team: TEAM, model: MODEL, route: ROUTE, target: TARGET, provider: PROVIDER } = LIMIT_AT.parts;
const ABSENT = -1;
const NONE = new Int32Array(0);
/** Of an IPv6 address, what is its network. */
const NETWORK_BYTES = 8;

export class LimitSubjects {
  readonly #map: LimitsMap;
  readonly #fields: Float64Array;
  /** The numbers below are by those of this one. */
  #snapshot: Snapshot | null = null;
  #keys = NONE;
  #teams = NONE;
  #routes = NONE;
  #models = NONE;
  #targets = NONE;
  #providers = NONE;
  // What some limit counts by
  #byModel = false;
  #byTarget = false;
  #byProvider = false;
  #byUser = false;
  #byAddress = false;

  constructor(map: LimitsMap) {
    this.#map = map;
    this.#fields = map.fields;
  }

  /** After the map has the limits of this snapshot. */
  configure(snapshot: Snapshot): void {
    this.#snapshot = snapshot;
    this.#count(new Set(snapshot.limits.flatMap(({ scope }) => scope)));
    this.#number(snapshot);
    // Nobody has a number for these: what clients choose goes as a text.
    this.#fields.fill(ABSENT, 0, LIMIT_AT.partsEnd);
  }

  #count(parts: ReadonlySet<LimitPart>): void {
    this.#byModel = parts.has("model");
    this.#byTarget = parts.has("target");
    this.#byProvider = parts.has("provider");
    this.#byUser = parts.has("user");
    this.#byAddress = parts.has("address");
  }

  #number(snapshot: Snapshot): void {
    const map = this.#map;
    const routes = routesOf(snapshot);
    this.#keys = Int32Array.from(snapshot.keyRecords, ({ name }) => map.subject("key", name));
    this.#teams = Int32Array.from(snapshot.keyRecords, ({ team }) =>
      team === null ? ABSENT : map.subject("team", team),
    );
    this.#routes = Int32Array.from(routes, ({ name }) => map.subject("route", name));
    this.#models = Int32Array.from(routes, ({ alias }) => (alias === "*" ? ABSENT : map.subject("model", alias)));
    this.#targets = Int32Array.from(routes, (one) =>
      hasChoice(one) || (one.alias === "*" && one.target.upstreamModel === null)
        ? ABSENT
        : map.subject("target", targetName(one.target, one.alias)),
    );
    this.#providers = Int32Array.from(routes, (one) =>
      hasChoice(one) ? ABSENT : map.subject("provider", one.target.provider.name),
    );
  }

  /** Says whom the next decision is about: the request, or an attempt of it at another target. */
  fill(exchange: Exchange, target = exchange.target): void {
    const { key, route, snapshot } = exchange;
    // One that began before a reload has the numbers of its own snapshot.
    const isCurrent = snapshot === this.#snapshot;
    this.#fillKey(key !== null && isCurrent ? key.number : ABSENT);
    this.#fillRoute(route !== null && isCurrent ? route.number : ABSENT);
    if (!isCurrent) this.#fillNames(exchange);
    this.#fillTexts(exchange, target);
  }

  #fillKey(number: number): void {
    this.#fields[KEY] = number < 0 ? ABSENT : (this.#keys[number] ?? ABSENT);
    this.#fields[TEAM] = number < 0 ? ABSENT : (this.#teams[number] ?? ABSENT);
  }

  #fillRoute(number: number): void {
    const fields = this.#fields;
    fields[ROUTE] = number < 0 ? ABSENT : (this.#routes[number] ?? ABSENT);
    fields[MODEL] = number < 0 ? ABSENT : (this.#models[number] ?? ABSENT);
    fields[TARGET] = number < 0 ? ABSENT : (this.#targets[number] ?? ABSENT);
    fields[PROVIDER] = number < 0 ? ABSENT : (this.#providers[number] ?? ABSENT);
  }

  #fillNames({ key, route }: Exchange): void {
    if (key !== null) this.#fields[KEY] = this.#map.numberOf("key", key.name);
    if (key !== null && key.team !== null) this.#fields[TEAM] = this.#map.numberOf("team", key.team);
    if (route !== null) this.#fields[ROUTE] = this.#map.numberOf("route", route.name);
  }

  #fillTexts({ model, user, down }: Exchange, target: Target | null): void {
    const map = this.#map;
    // With targets too: whether a client made up the model tells whether it made up the target.
    if ((this.#byModel || this.#byTarget) && model !== "" && this.#lacks(MODEL)) map.text("model", model);
    if (this.#byTarget && target !== null && this.#lacks(TARGET)) map.text("target", targetName(target, model));
    if (this.#byProvider && target !== null && this.#lacks(PROVIDER)) map.text("provider", target.provider.name);
    if (this.#byUser && user !== "") map.text("user", user);
    if (this.#byAddress) map.text("address", addressText(down.address()));
  }

  #lacks(part: number): boolean {
    return this.#fields[part] === ABSENT;
  }
}

/** Its target is known for each request only. */
function hasChoice({ choices }: Route): boolean {
  return choices.length > 0;
}

/** Of a request, by name; empty: it has none. Where decisions are not made: these are found by numbers. */
export function subjectText({ key, user, down, model, route, target }: Exchange, part: LimitPart): string {
  switch (part) {
    case "key":
      return key?.name ?? "";
    case "team":
      return key?.team ?? "";
    case "user":
      return user;
    case "address":
      return addressText(down.address());
    case "model":
      return model;
    case "route":
      return route?.name ?? "";
    case "target":
      return target === null ? "" : targetName(target, model);
    default:
      return target?.provider.name ?? "";
  }
}

/** Bits of the parts in which two targets of a model differ; null: there was none before. */
export function changedParts(from: Target | null, to: Target, model: string): number {
  if (from === null) return (1 << PROVIDER) | (1 << TARGET);
  const provider = from.provider.name === to.provider.name ? 0 : 1 << PROVIDER;
  return targetName(from, model) === targetName(to, model) ? provider : provider | (1 << TARGET);
}

function targetName({ provider, upstreamModel }: Target, model: string): string {
  return `${provider.name}/${upstreamModel ?? model}`;
}

/** A network of IPv6 is one client: whoever has one has 2^64 addresses (RFC 6177). IPv4 is the same on a listener for both. */
function addressText(client: Uint8Array): string {
  const address = unmapped(client);
  return Buffer.from(address.buffer, address.byteOffset, Math.min(address.length, NETWORK_BYTES)).toString("latin1");
}
