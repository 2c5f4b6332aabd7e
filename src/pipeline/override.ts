/**
 * Headers by which a request chooses for itself, if its key permits: x-sluice-target, -route, -attempts, -fallback, -strategy and -timeout-ms.
 * Gateway worker; only requests that bring headers of the gateway's own come here.
 */
import { ERRORS } from "../base/errors.ts";
import { OVERRIDES, type Override, overrideHeader } from "../base/overrides.ts";
import { type Route, STRATEGIES, type Strategy, type Target } from "../config/snapshot.ts";
import { decidesByBody } from "../config/strategy-needs.ts";
import type { Exchange, Verdict } from "./exchange.ts";
import { withStrategy } from "./wanted-strategy.ts";

const CRLF = "\r\n";
const ATTEMPTS = /^[1-9]\d{0,2}$/;
const TIMEOUT_MS = /^[1-9]\d{0,8}$/;

/** Whether something stands for a value, as far as the header alone tells; what would. */
const VALUES: Readonly<Record<Override, readonly [stands: (value: string) => boolean, expected: string]>> = {
  target: [() => true, "PROVIDER/MODEL, a target of this model"],
  route: [() => true, "a route of this model"],
  attempts: [(value) => ATTEMPTS.test(value), "1 to 999"],
  fallback: [(value) => value === "none", "none"],
  strategy: [(value) => strategyOf(value) !== undefined, STRATEGIES.join(", ")],
  timeout: [(value) => TIMEOUT_MS.test(value), "1 to 999999999"],
};

function strategyOf(value: string | null): Strategy | undefined {
  return STRATEGIES.find((name) => name === value);
}

/** Of the first such header; null: there is none. */
function asked({ ownLines }: Exchange, name: Override): string | null {
  const line = `${CRLF}${overrideHeader(name)}: `;
  const at = ownLines.indexOf(line);
  if (at < 0) return null;
  const end = ownLines.indexOf(CRLF, at + line.length);
  return ownLines.slice(at + line.length, end < 0 ? ownLines.length : end);
}

/** 403 for what the key does not permit, 400 for a value that is none. */
export function checkOverrides(exchange: Exchange): Verdict {
  for (const name of OVERRIDES) {
    const refusal = checkOverride(exchange, name);
    if (refusal !== null) return refusal;
  }
  return null;
}

function checkOverride(exchange: Exchange, name: Override): Verdict {
  const value = asked(exchange, name);
  if (value === null) return null;
  const permitted = ((exchange.key?.overrides ?? 0) & (1 << OVERRIDES.indexOf(name))) !== 0;
  if (!permitted) return exchange.fail(ERRORS.overrideNotAllowed, overrideHeader(name));
  return VALUES[name][0](value) ? null : exchange.fail(ERRORS.overrideInvalid, expectedOf(name));
}

/** The same of a request that names no model: there is no target and no route of it. */
export function checkWithoutModel(exchange: Exchange): Verdict {
  const refusal = checkOverrides(exchange);
  if (refusal !== null || !choosesRoute(exchange)) return refusal;
  return exchange.fail(ERRORS.overrideInvalid, expectedOf(choosesTarget(exchange) ? "target" : "route"));
}

/** "x-sluice-attempts (1 to 999)" */
function expectedOf(name: Override): string {
  return `${overrideHeader(name)} (${VALUES[name][1]})`;
}

/** Less time for all of it, if the request wants it so; more than the configuration gives it changes nothing. Before its body is read. */
export function takeTimeout(exchange: Exchange): Verdict {
  const refusal = checkOverride(exchange, "timeout");
  const value = refusal === null ? asked(exchange, "timeout") : null;
  if (value !== null) exchange.totalMs = Math.min(exchange.totalMs, Number(value));
  return refusal;
}

/** Whether the strategy that it wants goes by what its body says. */
export function wantsBody(exchange: Exchange): boolean {
  const strategy = strategyOf(asked(exchange, "strategy"));
  return strategy !== undefined && decidesByBody(strategy);
}

/** Whether the route is chosen by the request, and not by its conditions. */
export function choosesRoute(exchange: Exchange): boolean {
  return asked(exchange, "route") !== null || choosesTarget(exchange);
}

/** Whether it goes past the arms of its route. */
export function choosesTarget(exchange: Exchange): boolean {
  return asked(exchange, "target") !== null;
}

/** The route of the model that is asked for, or that has the target; null: there is none. `own`: the model's. */
export function routeAskedFor(exchange: Exchange, own: Route): Route | null {
  const [name, target] = [asked(exchange, "route"), asked(exchange, "target")];
  const all = [...(own.before ?? []).map(({ route }) => route), ...(own.isEmpty ? [] : [own])];
  const named =
    name === null ? all : all.filter((route) => route.name === name || route.name === `${own.alias}/${name}`);
  const found = named.find((route) => target === null || hasTarget(exchange, route, target));
  exchange.detail = expectedOf(name === null ? "target" : "route");
  return found ?? null;
}

function hasTarget(exchange: Exchange, { target, choices }: Route, name: string): boolean {
  const targets = choices.length === 0 ? [target] : choices.map((choice) => choice.target);
  return targets.some((one) => nameOf(exchange, one) === name);
}

function nameOf({ model }: Exchange, { provider, upstreamModel }: Target): string {
  return `${provider.name}/${upstreamModel ?? model}`;
}

/** The route as the request wants it: another strategy, fewer tries, and no target but the one that it names. */
export function asWanted(exchange: Exchange, own: Route): Route {
  const [name, attempts] = [asked(exchange, "target"), asked(exchange, "attempts")];
  const strategy = strategyOf(asked(exchange, "strategy"));
  const route = strategy === undefined ? own : withStrategy(own, strategy);
  const choice = name === null ? undefined : route.choices.find(({ target }) => nameOf(exchange, target) === name);
  if (choice !== undefined) exchange.excluded |= ~(1 << choice.place);
  return attempts === null ? route : { ...route, attempts: Math.min(route.attempts, Number(attempts)) };
}

/** Whether it wants no other target than its first one. */
export function wantsOne(exchange: Exchange): boolean {
  return asked(exchange, "fallback") !== null;
}

/** Whether it wants another target than this one. */
export function wantsOther(exchange: Exchange, target: Target): boolean {
  const name = asked(exchange, "target");
  return name !== null && nameOf(exchange, target) !== name;
}

/** After its first target was chosen: it stays there, if it wants to. */
export function stayAtFirst(exchange: Exchange): void {
  const { choice } = exchange;
  if (choice !== null && wantsOne(exchange)) exchange.excluded |= ~(1 << choice.place);
}
