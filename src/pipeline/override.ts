/**
 * Headers by which a request chooses for itself, if its key permits: x-sluice-target, -route, -attempts and -fallback. Gateway worker; only
 * requests that bring headers of the gateway's own come here.
 */
import { ERRORS } from "../base/errors.ts";
import { OVERRIDES, type Override } from "../base/overrides.ts";
import type { Route, Target } from "../config/snapshot.ts";
import type { Exchange, Verdict } from "./exchange.ts";

const CRLF = "\r\n";
const ATTEMPTS = /^[1-9]\d{0,2}$/;

/** Of the first such header; null: there is none. */
function asked({ ownLines }: Exchange, name: Override): string | null {
  const line = `${CRLF}x-sluice-${name}: `;
  const at = ownLines.indexOf(line);
  if (at < 0) return null;
  const end = ownLines.indexOf(CRLF, at + line.length);
  return ownLines.slice(at + line.length, end < 0 ? ownLines.length : end);
}

/** 403 for what the key does not permit, 400 for a value that is none. */
export function checkOverrides(exchange: Exchange): Verdict {
  const permitted = exchange.key?.overrides ?? 0;
  for (const [place, name] of OVERRIDES.entries()) {
    const value = asked(exchange, name);
    if (value === null) continue;
    if ((permitted & (1 << place)) === 0) return exchange.fail(ERRORS.overrideNotAllowed, `x-sluice-${name}`);
    const wrong = (name === "attempts" && !ATTEMPTS.test(value)) || (name === "fallback" && value !== "none");
    if (wrong) return exchange.fail(ERRORS.overrideInvalid, `x-sluice-${name}`);
  }
  return null;
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
  exchange.detail = name === null ? "x-sluice-target" : "x-sluice-route";
  return found ?? null;
}

function hasTarget(exchange: Exchange, { target, choices }: Route, name: string): boolean {
  const targets = choices.length === 0 ? [target] : choices.map((choice) => choice.target);
  return targets.some((one) => nameOf(exchange, one) === name);
}

function nameOf({ model }: Exchange, { provider, upstreamModel }: Target): string {
  return `${provider.name}/${upstreamModel ?? model}`;
}

/** The route as the request wants it: fewer tries, and no target but the one that it names. */
export function asWanted(exchange: Exchange, route: Route): Route {
  const [name, attempts] = [asked(exchange, "target"), asked(exchange, "attempts")];
  const choice = name === null ? undefined : route.choices.find(({ target }) => nameOf(exchange, target) === name);
  if (choice !== undefined) exchange.excluded |= ~(1 << choice.place);
  return attempts === null ? route : { ...route, attempts: Math.min(route.attempts, Number(attempts)) };
}

/** After its first target was chosen: it stays there, if it wants to. */
export function stayAtFirst(exchange: Exchange): void {
  const { choice } = exchange;
  if (choice !== null && asked(exchange, "fallback") !== null) exchange.excluded |= ~(1 << choice.place);
}
