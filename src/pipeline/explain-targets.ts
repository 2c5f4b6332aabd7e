/**
 * Where a request would go: the targets of its route as the request path would choose among them, asked many times over copies of what is
 * known of them. Pure but for reading the maps of breakers and targets.
 */
import { spanText } from "../base/span.ts";
import type { ExplainedCredentials, ExplainedPrice, ExplainedTarget } from "../config/explanation.ts";
import type { Choice, Price, Route, Snapshot, Target } from "../config/snapshot.ts";
import { restMs } from "../shm/breakers.ts";
import { blockedMs } from "./breaker.ts";
import { checkCapabilities } from "./capability.ts";
import { priceAt } from "./cost.ts";
import { freeCredential } from "./credential.ts";
import { FAILURE_NAMES } from "./decision.ts";
import { Exchange } from "./exchange.ts";
import { asWanted, wantsOne, wantsOther } from "./override.ts";
import { isUnhealthy } from "./provider-health.ts";
import { chooseAny, chooseTarget } from "./route.ts";
import { fallbacksOf } from "./wanted-strategy.ts";

const UNFIT = "it cannot take this request";
const UNWANTED = "the request asks for another one";
/** How often each choice is asked for; of these shares is what is said. */
const DRAWS = 400;
const PERCENT = 100;
const PICO_PER_MICRO = 1_000_000;
/** Steps between one number and the next, so that few of them are spread as many are (the golden ratio). */
const STRIDE = 0.618_033_988_749_895;

/** The snapshot with routes that can be chosen from without a trace. */
export function copyOfRoutes(snapshot: Snapshot): Snapshot {
  const routes = new Map([...snapshot.routes].map(([alias, route]) => [alias, copyOf(route)]));
  return { ...snapshot, routes, anyModel: snapshot.anyModel === null ? null : copyOf(snapshot.anyModel) };
}

function copyOf(route: Route): Route {
  const copies = choicesOf(route).map(choiceCopy);
  const { before, fallbacks, choices, arms, arm } = route;
  return {
    ...route,
    before: before?.map(({ when, route: other }) => ({ when, route: copyOf(other) })) ?? null,
    choices: copies.slice(0, choices.length),
    // Of the same copies as the choices: one target has one breaker.
    fallbacks: fallbacks === null ? null : fallbacksOf(fallbacks, copies, choices.length),
    turn: Int32Array.from(route.turn),
    arms: arms === null ? null : { ...arms, routes: arms.routes.map(copyOf) },
    arm: arm === null ? null : { ...arm, words: Int32Array.from(arm.words) },
  };
}

function choiceCopy(choice: Choice): Choice {
  const { breaker, learned } = choice.state;
  return {
    ...choice,
    state: { ...choice.state, breaker: Int32Array.from(breaker), learned: Int32Array.from(learned) },
  };
}

/** `full`: names of limits of targets that have no room, by the place of the target. */
export function explainTargets(
  exchange: Exchange,
  full: ReadonlyMap<number, string>,
  wallMs: number,
): ExplainedTarget[] {
  const { route, target } = exchange;
  if (route === null) return target === null ? [] : [{ ...only(exchange, target), credentials: null }];
  if (route.choices.length === 0)
    return [{ ...only(exchange, route.target), credentials: credentialsOf(route.target, wallMs) }];
  const out = [...full.keys()].reduce((bits, place) => bits | (1 << place), 0);
  const begun = beginning(exchange, route);
  const order = likelyOrder(begun, route, out, wallMs);
  const shares = sharesOf(begun, route, out, wallMs);
  const all = choicesOf(route).map((choice) => ({
    ...costOf(exchange, choice.target),
    priority: choice.priority,
    weight: choice.weight,
    share: Math.round(((shares[choice.place] ?? 0) * PERCENT) / DRAWS),
    order: order.indexOf(choice.place) + 1,
    after: failuresBefore(route, choice),
    obstacle: obstacleTo(begun, route, choice, wallMs) ?? fullText(full.get(choice.place)),
    inFlight: choice.state.inFlight.count,
    credentials: credentialsOf(choice.target, wallMs),
  }));
  return all.toSorted((a, b) => (a.order || all.length + 1) - (b.order || all.length + 1));
}

/** As it was before its first target was chosen, at which it may want to stay. */
function beginning(exchange: Exchange, route: Route): Exchange {
  if (!wantsOne(exchange)) return exchange;
  const copy = Object.assign(Object.create(Exchange.prototype) as Exchange, exchange, { excluded: 0 });
  asWanted(copy, route);
  if (route.hasCapabilities) checkCapabilities(copy, route);
  return copy;
}

/** Those of its fallbacks behind its own, as their places are. */
export function choicesOf({ choices, fallbacks }: Route): readonly Choice[] {
  return fallbacks === null ? choices : [...choices, ...fallbacks.extra];
}

function failuresBefore({ choices, fallbacks }: Route, { place }: Choice): string[] {
  if (fallbacks === null || place < choices.length) return [];
  return fallbacks.chains.flatMap((chain, bit) =>
    chain.some((one) => one.place === place) ? (FAILURE_NAMES[bit] ?? []) : [],
  );
}

function only(exchange: Exchange, target: Target): Omit<ExplainedTarget, "credentials"> {
  const alone = { priority: 0, weight: 1, share: PERCENT, order: 1, after: [], obstacle: null, inFlight: 0 };
  return { ...costOf(exchange, target), ...alone };
}

function credentialsOf({ provider: { rotation } }: Target, wallMs: number): ExplainedCredentials | null {
  if (rotation === null) return null;
  const { credentials } = rotation;
  const resting = credentials.filter(({ state }) => restMs(state, wallMs) > 0).map(({ place }) => place + 1);
  return { count: credentials.length, next: freeCredential(rotation, wallMs).place + 1, resting };
}

function costOf(exchange: Exchange, target: Target) {
  const model = target.upstreamModel ?? exchange.model;
  return { provider: target.provider.name, model, price: priceIn(priceAt(exchange, target)) };
}

function priceIn(price: Price | null): ExplainedPrice | null {
  if (price === null) return null;
  const [input = 0, cachedInput = 0, output = 0] = [price.inputPico, price.cachedInputPico, price.outputPico].map(
    (pico) => pico / PICO_PER_MICRO,
  );
  return { input, cachedInput, output };
}

/** Places of the targets, each the one that is chosen most often when those before it were tried. */
function likelyOrder(exchange: Exchange, route: Route, out: number, wallMs: number): number[] {
  const order: number[] = [];
  let tried = out;
  const most = wantsOne(exchange) ? 1 : Math.min(route.attempts, choicesOf(route).length);
  while (order.length < most) {
    const shares = sharesOf(exchange, route, tried, wallMs);
    const draws = Math.max(...shares);
    if (draws === 0) break;
    const place = shares.indexOf(draws);
    order.push(place);
    tried |= 1 << place;
  }
  return order;
}

/** How often each target is chosen, by its place. */
function sharesOf(exchange: Exchange, route: Route, tried: number, wallMs: number): number[] {
  const shares = choicesOf(route).map(() => 0);
  const asked = Object.assign(Object.create(Exchange.prototype) as Exchange, exchange);
  const copy = copyOf(route);
  for (let draw = 0; draw < DRAWS; draw += 1) {
    const chance = chances(draw);
    const isChosen =
      tried === 0 ? chooseAny(asked, copy, wallMs, chance) : chooseTarget(asked, copy, tried, wallMs, chance);
    if (!isChosen || asked.choice === null) break;
    shares[asked.choice.place] = (shares[asked.choice.place] ?? 0) + 1;
    restore(copy, route);
  }
  return shares;
}

/** Evenly spread over all draws; further ones of a draw as well. */
function chances(draw: number): () => number {
  let step = 0;
  return () => ((draw + 0.5) / DRAWS + STRIDE * draw * step++) % 1;
}

/** What a draw did to breakers; whose turn it is goes on. */
function restore(copy: Route, route: Route): void {
  const originals = choicesOf(route);
  for (const { place, state } of choicesOf(copy)) {
    const original = originals[place];
    if (original === undefined) continue;
    state.breaker.set(original.state.breaker);
    state.learned.set(original.state.learned);
  }
}

function fullText(limit: string | undefined): string | null {
  return limit === undefined ? null : `its limit '${limit}' has no room`;
}

/** Null: nothing is in its way. */
function obstacleTo(
  exchange: Exchange,
  { breaker }: Route,
  { place, target, state }: Choice,
  wallMs: number,
): string | null {
  if (wantsOther(exchange, target)) return UNWANTED;
  if ((exchange.excluded & (1 << place)) !== 0) return UNFIT;
  const { health } = target.provider;
  if (health !== null && isUnhealthy(health)) return "its provider is unhealthy, as its checks say";
  if (breaker === null) return null;
  const waitMs = blockedMs(state.breaker, wallMs);
  if (waitMs === 0) return null;
  return waitMs < 0 ? "its breaker waits for a probe" : `its breaker is open for ${spanText(waitMs)}`;
}
