/**
 * What deadlines cost a worker with 10,000 requests in flight, each of which ends after three seconds and is followed by a new
 * one: the timer wheel (pipeline/wheel.ts), against a look at all of them at every turn. Per request.
 */
import { SWEEP_INTERVAL_MS } from "../../src/base/limits.ts";
import { lookMs, overdue } from "../../src/pipeline/deadlines.ts";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import { Wheel } from "../../src/pipeline/wheel.ts";
import { exchangeOf } from "../../test/support/exchange.ts";
import { compare } from "./contest.ts";

const IN_FLIGHT = 10_000;
const LIFE_TURNS = 30;
const PER_TURN = Math.floor(IN_FLIGHT / LIFE_TURNS);

const exchanges = Array.from({ length: IN_FLIGHT }, () => exchangeOf());
const wheel = new Wheel<Exchange>(0);
const all = new Set<Exchange>();
let nowMs = 0;
let next = 0;

/** The oldest of those in flight ends, and becomes a new one. */
function replaced(): Exchange {
  const exchange = exchanges[next] as Exchange;
  next = (next + 1) % IN_FLIGHT;
  Object.assign(exchange, { startedMs: nowMs, progressMs: nowMs });
  return exchange;
}

function look(exchange: Exchange): number {
  if (overdue(exchange, nowMs) !== null) throw new Error("nothing is overdue");
  return lookMs(exchange, nowMs);
}

for (const exchange of exchanges) {
  wheel.add(exchange, lookMs(exchange, 0));
  all.add(exchange);
}

compare(`deadlines of ${IN_FLIGHT} requests`, "look at all", {
  wheel: {
    units: PER_TURN,
    call: () => {
      nowMs += SWEEP_INTERVAL_MS;
      for (let i = 0; i < PER_TURN; i += 1) {
        const exchange = replaced();
        wheel.remove(exchange);
        wheel.add(exchange, lookMs(exchange, nowMs));
      }
      wheel.turn(nowMs, look);
    },
  },
  "look at all": {
    units: PER_TURN,
    call: () => {
      nowMs += SWEEP_INTERVAL_MS;
      for (let i = 0; i < PER_TURN; i += 1) {
        const exchange = replaced();
        all.delete(exchange);
        all.add(exchange);
      }
      for (const exchange of all) look(exchange);
    },
  },
});
