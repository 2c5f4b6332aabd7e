/**
 * The strategy `hash`: requests with the same key, user or header go to the same target, by weighted rendezvous hashing (Thaler and
 * Ravishankar 1998; Schindelhauer and Schomaker 2005): each target draws a number from the hash of both, and the best one has the request. A
 * target that leaves gives its requests to the others, and takes the same ones back; none of the others moves. The order of the
 * numbers is the order of fallbacks. Gateway worker; pure, allocates nothing; what is hashed is kept nowhere.
 */
import { mixed, partHash, textHash } from "../base/hash.ts";
import { HASH_CHARS_MAX } from "../base/limits.ts";
import type { Choice, HashBy, Route } from "../config/snapshot.ts";
import { competes, type Tried } from "./candidates.ts";
import type { Exchange } from "./exchange.ts";

const GOLDEN = 0x9e3779b1;
const WORDS = 2 ** 32;

export function byHash(exchange: Exchange, { choices, hashBy }: Route, first: Choice, tried: Tried): Choice {
  const point = pointOf(exchange, hashBy);
  let best = first;
  let most = -1;
  for (let place = first.place; place < choices.length; place += 1) {
    const choice = choices[place];
    if (choice === undefined || !competes(choice, first, tried)) continue;
    const drawn = draw(point, choice);
    if (drawn <= most) continue;
    best = choice;
    most = drawn;
  }
  return best;
}

/** Of targets with the same weight the largest is each of them equally often; with others, for its weight. */
function draw(point: number, { point: own, weight }: Choice): number {
  const unit = (mixed(point ^ Math.imul(own, GOLDEN)) + 0.5) / WORDS;
  return -weight / Math.log(unit);
}

/** A request without what it goes by goes by its key. */
function pointOf({ key, user, lines, ownLines }: Exchange, hashBy: HashBy | null): number {
  if (hashBy?.by === "user" && user !== "") return textHash(user);
  if (hashBy?.by === "header") {
    const at = lines.indexOf(hashBy.line);
    if (at >= 0) return valueHash(lines, at + hashBy.line.length);
    const ownAt = ownLines.indexOf(hashBy.line);
    if (ownAt >= 0) return valueHash(ownLines, ownAt + hashBy.line.length);
  }
  return key === null ? 0 : textHash(key.name);
}

function valueHash(lines: string, from: number): number {
  return partHash(lines, from, Math.min(endOfLine(lines, from), from + HASH_CHARS_MAX));
}

function endOfLine(lines: string, from: number): number {
  const end = lines.indexOf("\r", from);
  return end < 0 ? lines.length : end;
}
