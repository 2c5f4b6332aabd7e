/**
 * Whom limits count a request for: its key, team, user, client address, model, route, target and provider. Those of the configuration have
 * numbers, which are found by the numbers that keys, routes and targets have in the snapshot; what clients choose, and where they come from, goes as
 * a text. Gateway worker.
 */
import type { LimitPart } from "../base/limit-terms.ts";
import type { Route, Snapshot, Target } from "../config/snapshot.ts";
import { LIMIT_AT, type LimitsMap } from "../shm/limits.ts";
import type { Exchange } from "./exchange.ts";

const { parts: PART } = LIMIT_AT;
const ABSENT = -1;
const NONE = new Int32Array(0);
/** Of an IPv6 address, what is its network. */
const NETWORK_BYTES = 8;

export class LimitSubjects {
  readonly #map: LimitsMap;
  readonly #fields: Float64Array;
  /** The numbers below are by those of this one. */
  #snapshot: Snapshot | null = null;
  #counted: ReadonlySet<LimitPart> = new Set();
  #keys = NONE;
  #teams = NONE;
  #routes = NONE;
  #models = NONE;
  #targets = NONE;
  #providers = NONE;

  constructor(map: LimitsMap) {
    this.#map = map;
    this.#fields = map.fields;
  }

  /** After the map has the limits of this snapshot. */
  configure(snapshot: Snapshot): void {
    const map = this.#map;
    const routes = routesOf(snapshot);
    this.#snapshot = snapshot;
    this.#counted = new Set(snapshot.limits.flatMap(({ scope }) => scope));
    this.#keys = Int32Array.from(snapshot.keyRecords, ({ name }) => map.subject("key", name));
    this.#teams = Int32Array.from(snapshot.keyRecords, ({ team }) =>
      team === null ? ABSENT : map.subject("team", team),
    );
    this.#routes = Int32Array.from(routes, ({ alias }) => map.subject("route", alias));
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

  /** Says whom the next decision is about. */
  fill(exchange: Exchange): void {
    const { key, route } = exchange;
    this.#fields.fill(ABSENT, 0, LIMIT_AT.partsEnd);
    // One that began before a reload has the numbers of its own snapshot.
    const current = exchange.snapshot === this.#snapshot;
    if (key !== null && current) this.#fillKey(key.number);
    if (route !== null && current) this.#fillRoute(route.number);
    if (!current) this.#fillNames(exchange);
    this.#fillTexts(exchange);
  }

  #fillKey(number: number): void {
    this.#fields[PART.key] = this.#keys[number] ?? ABSENT;
    this.#fields[PART.team] = this.#teams[number] ?? ABSENT;
  }

  #fillRoute(number: number): void {
    const fields = this.#fields;
    fields[PART.route] = this.#routes[number] ?? ABSENT;
    fields[PART.model] = this.#models[number] ?? ABSENT;
    fields[PART.target] = this.#targets[number] ?? ABSENT;
    fields[PART.provider] = this.#providers[number] ?? ABSENT;
  }

  #fillNames({ key, route }: Exchange): void {
    if (key !== null) this.#fields[PART.key] = this.#map.numberOf("key", key.name);
    if (key !== null && key.team !== null) this.#fields[PART.team] = this.#map.numberOf("team", key.team);
    if (route !== null) this.#fields[PART.route] = this.#map.numberOf("route", route.alias);
  }

  #fillTexts({ target, model, user, down }: Exchange): void {
    if (model !== "" && this.#lacks("model")) this.#map.text("model", model);
    if (target !== null && this.#lacks("target")) this.#map.text("target", targetName(target, model));
    if (target !== null && this.#lacks("provider")) this.#map.text("provider", target.provider.name);
    if (user !== "" && this.#lacks("user")) this.#map.text("user", user);
    if (this.#lacks("address")) this.#map.text("address", addressText(down.address()));
  }

  #lacks(part: LimitPart): boolean {
    return this.#fields[PART[part]] === ABSENT && this.#counted.has(part);
  }
}

/** Its target is known for each request only. */
function hasChoice({ choices }: Route): boolean {
  return choices.length > 0;
}

/** By their numbers. */
export function routesOf({ routes, anyModel }: Snapshot): Route[] {
  const all = [...routes.values(), ...(anyModel === null ? [] : [anyModel])];
  return all.sort((a, b) => a.number - b.number);
}

function targetName({ provider, upstreamModel }: Target, model: string): string {
  return `${provider.name}/${upstreamModel ?? model}`;
}

/** A network of IPv6 is one client: whoever has one has 2^64 addresses (RFC 6177). */
function addressText(address: Uint8Array): string {
  return Buffer.from(address.buffer, address.byteOffset, Math.min(address.length, NETWORK_BYTES)).toString("latin1");
}
