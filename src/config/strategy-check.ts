/** What the strategy of a model takes for granted of other settings. Pure; supervisor and command line. */
import { formTargets } from "./arms.ts";
import { type Finding, findingAt } from "./finding.ts";
import type { ModelForm } from "./model.ts";
import type { Form } from "./schema.ts";
import { quoted } from "./secret.ts";
import type { Strategy } from "./snapshot.ts";

/** Headers that are not passed on, so that nobody has to wonder what requests of one key have in common. */
export const TAKEN_HEADERS: ReadonlySet<string> = new Set([
  ...["authorization", "api-key", "x-api-key", "cookie", "proxy-authorization", "host", "x-request-id"],
  ...["connection", "content-length", "expect", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"],
  ...["accept-encoding", "forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto"],
  ...["x-real-ip", "http2-settings", "proxy-connection"],
]);

export function checkStrategies({ models }: Form): readonly Finding[] {
  return Object.entries(models).flatMap(([alias, model]) =>
    placesOf(alias, model).flatMap(({ path, place }) => hashFindings(path, place)),
  );
}

/** A model and its routes. */
function placesOf(alias: string, model: ModelForm): { readonly path: readonly PropertyKey[]; place: ModelForm }[] {
  const path = ["models", alias];
  const routes = (model.routes ?? []).map((place, index) => ({ path: [...path, "routes", index], place }));
  return [{ path, place: model }, ...routes];
}

function hashFindings(path: readonly PropertyKey[], model: ModelForm): readonly Finding[] {
  const { hash_by: by, strategy } = model;
  const hashes = strategiesOf(model).includes("hash");
  if (hashes && by === undefined) {
    const place = strategy === "hash" ? [...path, "strategy"] : path;
    return [findingAt(place, "this needs 'hash_by' as well: key, user or { header: NAME }")];
  }
  if (!hashes && by !== undefined) {
    return [{ ...findingAt([...path, "hash_by"], "this is only for 'strategy: hash'"), at: "key" }];
  }
  if (!TAKEN_HEADERS.has(by?.header?.toLowerCase() ?? "")) return [];
  return [findingAt([...path, "hash_by", "header"], "requests cannot go by this header, because it is not passed on")];
}

/** Its own, and those of its arms. */
function strategiesOf({ strategy, split }: ModelForm): readonly Strategy[] {
  return [strategy, ...(split?.arms ?? []).map((arm) => arm.strategy ?? strategy)];
}

/** Targets that are never chosen while there are others, because nobody knows what they cost. */
export function warnOfStrategies({ models, prices }: Form): readonly Finding[] {
  const places = Object.entries(models).flatMap(([alias, model]) =>
    placesOf(alias, model).map((at) => ({ alias, ...at })),
  );
  return places.flatMap(({ alias, path, place }) => {
    const names = formTargets(place).flatMap((target) => target.model ?? (alias === "*" ? [] : alias));
    const free = names.find((name) => !Object.hasOwn(prices, name) && !Object.hasOwn(prices, alias));
    if (!strategiesOf(place).includes("cost") || free === undefined) return [];
    const message = `there is no price for ${quoted(free, "a target")}, so it comes behind those that have one in 'prices'`;
    return [findingAt([...path, "strategy"], message)];
  });
}
