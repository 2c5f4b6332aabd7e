/**
 * What a decision over limits costs: over one and over eight scopes of a request, which are rates, and with a concurrency limit and one of
 * tokens among them, which are settled; and the step of the pipeline, which writes headers as well. Nobody else wants the lock.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LimitPart } from "../../src/base/limit-terms.ts";
import { Limiter } from "../../src/pipeline/limit.ts";
import { LIMIT_ADMITTED, LIMIT_AT, prepareLimits } from "../../src/shm/limits.ts";
import { exchangeOf, snapshotOf } from "../../test/support/exchange.ts";
import { decide, ruleOf } from "../../test/support/limits.ts";
import { compare } from "./contest.ts";

const LEASE_MS = 60_000;
const PLENTY = 1_000_000_000;
const SCOPES: readonly (readonly LimitPart[])[] = [
  [],
  ["key"],
  ["model"],
  ["provider"],
  ["target"],
  ["key", "model"],
  ["key", "provider"],
  ["key", "model", "target"],
];
const EIGHT = SCOPES.map((scope, i) => ruleOf({ name: `rule ${i}`, scope, limit: PLENTY }));
const HELD = ruleOf({ name: "held", quantity: "concurrency", kind: "held", limit: PLENTY, periodMs: 0 });
const TOKENS = ruleOf({ name: "tokens", quantity: "tokens", limit: PLENTY });

const directory = mkdtempSync(join(tmpdir(), "sluice-limits-"));
const map = prepareLimits(directory);
const { parts, amounts, ticket } = LIMIT_AT;

function configure(rules: typeof EIGHT): void {
  map.configure(rules, LEASE_MS);
  map.fields.fill(-1);
  map.fields[parts.key] = map.subject("key", "benchmark");
  map.fields[parts.model] = map.subject("model", "benchmark");
  map.fields[parts.provider] = map.subject("provider", "benchmark");
  map.fields[parts.target] = map.subject("target", "benchmark");
  for (const amount of Object.values(amounts)) map.fields[amount] = 1;
}

function admit(): void {
  if (decide(map) !== LIMIT_ADMITTED) throw new Error("it is refused");
}

function admitAndSettle(): void {
  admit();
  map.settle(map.fields[ticket] ?? -1, 1, 0, 0);
}

compare("a decision", "eight scopes", {
  "one scope": { before: () => configure(EIGHT.slice(1, 2)), call: admit },
  "eight scopes": { before: () => configure(EIGHT), call: admit },
  "eight scopes, two to settle": {
    before: () => configure([...EIGHT.slice(0, 6), HELD, TOKENS]),
    call: admitAndSettle,
  },
});

const limiter = new Limiter(map, () => {});

/** The step of a request that these limits apply to. */
function step(limits: typeof EIGHT): { before: () => void; call: () => void } {
  const snapshot = snapshotOf({ limits });
  const exchange = exchangeOf({ snapshot });
  exchange.key = snapshot.keyRecords[0] ?? null;
  exchange.route = snapshot.routes.get("other") ?? null;
  exchange.target = exchange.route?.target ?? null;
  exchange.model = "other";
  return { before: () => limiter.configure(snapshot), call: () => limiter.admit(exchange) };
}

compare("the step of the pipeline", "eight scopes", {
  "one scope": step(EIGHT.slice(1, 2)),
  "eight scopes": step(EIGHT),
});

rmSync(directory, { recursive: true });
