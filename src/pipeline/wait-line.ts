/**
 * Those who wait for one count of one limit, and whose turn it is: of the lowest priority number that somebody has, keys take turns, and
 * each key's requests go in their order. Priorities are strict: what waits behind them too long is refused at its deadline. Gateway
 * worker; pure. Joining, leaving and the next one's turn take the same time however many wait.
 */
import type { LimitRule } from "../base/limit-terms.ts";
import { KEY_PRIORITIES } from "../base/limits.ts";
import { Chain, type Link } from "./chain.ts";
import type { Exchange } from "./exchange.ts";

/** A request that waits. */
export class Waiting implements Link<Waiting> {
  before: Waiting | null = null;
  after: Waiting | null = null;
  readonly exchange: Exchange;
  readonly bytes: number;
  readonly sinceMs: number;
  /** Where it waits: it may have to move on to another limit. */
  line: WaitLine;

  constructor(exchange: Exchange, sinceMs: number, line: WaitLine) {
    this.exchange = exchange;
    this.bytes = exchange.bodyBytes;
    this.sinceMs = sinceMs;
    this.line = line;
  }
}

/** Of one key. */
class Lane implements Link<Lane> {
  before: Lane | null = null;
  after: Lane | null = null;
  readonly key: string;
  readonly level: Chain<Lane>;
  readonly waiting = new Chain<Waiting>();

  constructor(key: string, level: Chain<Lane>) {
    this.key = key;
    this.level = level;
  }
}

export class WaitLine {
  readonly id: string;
  readonly rule: LimitRule;
  /** When it is to be asked again. */
  nextMs = 0;
  /** It will be asked in this turn of the loop, because something came back. */
  isDue = false;
  readonly #levels: readonly Chain<Lane>[] = Array.from({ length: KEY_PRIORITIES }, () => new Chain<Lane>());
  readonly #lanes = new Map<string, Lane>();

  constructor(id: string, rule: LimitRule) {
    this.id = id;
    this.rule = rule;
  }

  get isEmpty(): boolean {
    return this.#lanes.size === 0;
  }

  /** Whose turn it is. */
  next(): Waiting | null {
    for (const { first } of this.#levels) if (first !== null) return first.waiting.first;
    return null;
  }

  join(waiting: Waiting): void {
    waiting.line = this;
    this.#laneOf(waiting).waiting.append(waiting);
  }

  /** `hadTurn`: its key goes behind the others. */
  leave(waiting: Waiting, hadTurn: boolean): void {
    const lane = this.#laneOf(waiting);
    lane.waiting.remove(waiting);
    const isOver = lane.waiting.first === null;
    if (isOver) this.#lanes.delete(lane.key);
    if (isOver || hadTurn) lane.level.remove(lane);
    if (!isOver && hadTurn) lane.level.append(lane);
  }

  /** How many of those that wait would go before a request of this key that joins now, if nobody else comes. */
  ahead(key: string, priority: number): number {
    const own = this.#lanes.get(key);
    const level = own?.level ?? this.#levels[priority];
    const rounds = own === undefined ? 0 : lengthOf(own.waiting);
    let count = 0;
    for (const higher of this.#levels) {
      if (higher === level) break;
      for (let lane = higher.first; lane !== null; lane = lane.after) count += lengthOf(lane.waiting);
    }
    // Lanes in front of its own have one turn more before it than those behind.
    let turns = rounds + 1;
    for (let lane = level?.first ?? null; lane !== null; lane = lane.after) {
      if (lane === own) turns = rounds;
      count += Math.min(lengthOf(lane.waiting), turns);
    }
    return count;
  }

  #laneOf({ exchange }: Waiting): Lane {
    const key = exchange.key?.name ?? "";
    const known = this.#lanes.get(key);
    if (known !== undefined) return known;
    const level = this.#levels[exchange.key?.priority ?? 0] ?? new Chain<Lane>();
    const lane = new Lane(key, level);
    level.append(lane);
    this.#lanes.set(key, lane);
    return lane;
  }
}

function lengthOf(chain: Chain<Waiting>): number {
  let length = 0;
  for (let one = chain.first; one !== null; one = one.after) length += 1;
  return length;
}
