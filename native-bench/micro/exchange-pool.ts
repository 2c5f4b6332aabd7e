/**
 * What the object of a request costs: a new Exchange for each, or one out of a free list with every field set to what it is at the
 * beginning. As many are in flight as in the scenarios, because what a collection of garbage finds alive it has to copy.
 */
import { Exchange } from "../../src/pipeline/exchange.ts";
import { SeenDown, snapshotOf } from "../../test/support/exchange.ts";
import { compare } from "./contest.ts";

const snapshot = snapshotOf();
const down = new SeenDown();
const bodies = Array.from({ length: 64 }, () => Buffer.alloc(300));

function newExchange(): Exchange {
  return new Exchange(snapshot, down, performance.now(), false);
}

/** The assignments as a compiler would have them, in the order of the fields. */
const initial = newExchange();
const assignments = Object.keys(initial).map((name) => `exchange.${name} = initial.${name};`);
const reset: (exchange: Exchange, initial: Exchange) => void = Function(
  "exchange",
  "initial",
  assignments.join("\n"),
) as () => void;

let count = 0;

/** What every request sets. */
function use(exchange: Exchange): Exchange {
  count += 1;
  exchange.path = "/v1/chat/completions";
  exchange.requestId = `req_0123456789abcdef${count}`;
  exchange.lines = `\r\nuser-agent: benchmark\r\naccept: */*\r\nx-number: ${count}`;
  exchange.body = bodies[count % bodies.length] ?? null;
  exchange.bodyBytes = 300;
  exchange.model = "m";
  for (const clock of ["authenticatedMs", "bodyMs", "scannedMs", "forwardedMs", "headMs", "firstChunkMs"] as const)
    exchange[clock] = count + 0.5;
  exchange.status = 200;
  exchange.settled = true;
  return exchange;
}

for (const inFlight of [64, 1_000]) {
  const made = Array.from({ length: inFlight }, () => use(newExchange()));
  const pooled = Array.from({ length: inFlight }, () => use(newExchange()));
  const free: Exchange[] = [];
  compare(`an exchange, ${inFlight} in flight`, "new", {
    new: () => {
      made[count % inFlight] = use(newExchange());
    },
    "out of a free list": () => {
      const place = count % inFlight;
      free.push(pooled[place] ?? initial);
      const exchange = free.pop() ?? initial;
      reset(exchange, initial);
      pooled[place] = use(exchange);
    },
  });
}
