/**
 * Which arm of a model a request goes to: by weighted rendezvous. Each arm draws a number from what the request is kept by and the arm's name,
 * over its share; the lowest wins. So each gets its share, evenly, in every worker alike; and where the share of one arm is
 * changed, or an arm comes or goes, requests move only to it or away from it. Gateway worker; allocates nothing but a header's value.
 */
import { mixed, textHash } from "../base/hash.ts";
import type { Arms, Route } from "../config/snapshot.ts";
import { ARM_AT } from "../shm/arms.ts";
import type { Exchange } from "./exchange.ts";

const TWO_32 = 2 ** 32;

/** The route of its arm. `chance`: at least 0 and below 1. */
export function armRoute(exchange: Exchange, arms: Arms, chance: () => number): Route | null {
  const hash = stickyHash(exchange, arms, chance);
  let best: Route | null = null;
  let lowest = Infinity;
  for (const route of arms.routes) {
    const { arm } = route;
    if (arm === null || arm.share === 0 || Atomics.load(arm.words, ARM_AT.gate) !== 0) continue;
    const drawn = -Math.log((mixed(hash ^ arm.seed) + 0.5) / TWO_32) / arm.share;
    if (drawn >= lowest) continue;
    lowest = drawn;
    best = route;
  }
  if (best?.arm) Atomics.add(best.arm.words, ARM_AT.requests, 1);
  return best;
}

function stickyHash(exchange: Exchange, { sticky, header }: Arms, chance: () => number): number {
  const { key, user } = exchange;
  if (sticky === "key" && key !== null) return textHash(key.name);
  if (sticky === "user" && user !== "") return textHash(user);
  const value = sticky === "header" ? (valueIn(exchange.lines, header) ?? valueIn(exchange.ownLines, header)) : null;
  return value === null ? Math.floor(chance() * TWO_32) : textHash(value);
}

function valueIn(lines: string, header: string): string | null {
  const at = lines.indexOf(header);
  if (at < 0) return null;
  const end = lines.indexOf("\r\n", at + header.length);
  return end < 0 ? lines.slice(at + header.length) : lines.slice(at + header.length, end);
}
