/**
 * What the schema cannot see of routes with conditions: names that must differ, and conditions that can never hold or have no effect.
 * Supervisor and command line. Pure.
 */
import { CONDITION_FIELDS_MAX } from "../base/limits.ts";
import type { WhenForm } from "./condition.ts";
import { type Finding, findingAt, nearest } from "./finding.ts";
import type { RouteForm } from "./model.ts";
import type { Form } from "./schema.ts";
import { quoted } from "./secret.ts";
import { routeName } from "./series.ts";

type Path = readonly PropertyKey[];

/** Headers that the gateway uses itself, or drops, so that no condition can see them (native/request-head.cc). */
const UNSEEN_HEADERS: ReadonlySet<string> = new Set([
  ...["te", "host", "cookie", "expect", "trailer", "upgrade", "connection", "keep-alive", "content-length"],
  ...["transfer-encoding", "http2-settings", "proxy-connection", "proxy-authorization", "accept-encoding"],
  ...["authorization", "api-key", "x-api-key", "x-request-id", "forwarded", "x-real-ip"],
  ...["x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto"],
]);

/** Fields of a body that have a condition of their own. */
const OWN_CONDITIONS: Readonly<Record<string, string>> = {
  model: "the model has been found by its name already",
  stream: "use 'stream' for this",
  tools: "use 'tools' for this",
  functions: "use 'tools' for this",
  response_format: "use 'response_format' for this",
};

export function checkRoutes(form: Form): readonly Finding[] {
  const findings = routesIn(form).flatMap(({ path, route: { when } }) => [
    ...sizes(when, path),
    ...headers(when, path),
    ...body(when, path),
    ...(Object.keys(when).length === 0 ? [findingAt([...path, "when"], "this needs at least one condition")] : []),
  ]);
  return [...findings, ...names(form), ...again(form), ...fieldCount(form)];
}

interface Located {
  readonly alias: string;
  readonly route: RouteForm;
  readonly path: Path;
}

function routesIn({ models }: Form): readonly Located[] {
  return Object.entries(models).flatMap(([alias, { routes = [] }]) =>
    routes.map((route, index) => ({ alias, route, path: ["models", alias, "routes", index] })),
  );
}

function sizes({ prompt_tokens_min: min, prompt_tokens_max: max }: WhenForm, path: Path): readonly Finding[] {
  if (min === undefined || max === undefined || min <= max) return [];
  return [findingAt([...path, "when", "prompt_tokens_max"], "this is below prompt_tokens_min, so it can never hold")];
}

function keyAt(path: Path, message: string): Finding {
  return { ...findingAt(path, message), at: "key" };
}

function headers({ header = {} }: WhenForm, path: Path): readonly Finding[] {
  const seen = new Set<string>();
  return Object.keys(header).flatMap((name) => {
    const lower = name.toLowerCase();
    const twice = seen.has(lower);
    seen.add(lower);
    const at = [...path, "when", "header", name];
    if (UNSEEN_HEADERS.has(lower)) return [keyAt(at, "conditions cannot see this header: it is the gateway's own")];
    return twice ? [keyAt(at, "this header is given twice")] : [];
  });
}

function body({ body: fields = {} }: WhenForm, path: Path): readonly Finding[] {
  return Object.keys(fields).flatMap((name) => {
    const message = Object.hasOwn(OWN_CONDITIONS, name) ? OWN_CONDITIONS[name] : undefined;
    return message === undefined ? [] : [keyAt([...path, "when", "body", name], message)];
  });
}

/** Limits and histograms know a route by its model's name and its own. */
function names(form: Form): readonly Finding[] {
  const seen = new Set(Object.keys(form.models));
  return routesIn(form).flatMap(({ alias, route, path }) => {
    const name = routeName(alias, route.name);
    const isTaken = seen.has(name);
    seen.add(name);
    const message = Object.hasOwn(form.models, name)
      ? `a model is called ${quoted(name, "like this route")} already`
      : "another route has this name";
    return isTaken ? [findingAt([...path, "name"], message)] : [];
  });
}

/** A route behind one with the same conditions is never taken. */
function again(form: Form): readonly Finding[] {
  const seen = new Set<string>();
  return routesIn(form).flatMap(({ alias, route: { when }, path }) => {
    const text = JSON.stringify([alias, sorted(when)]);
    const isSeen = seen.has(text);
    seen.add(text);
    return isSeen ? [findingAt([...path, "when"], "a route before it has the same conditions")] : [];
  });
}

/** The same, however its keys are ordered. */
function sorted(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, inner]) => [name, sorted(inner)]);
}

function fieldCount(form: Form): readonly Finding[] {
  const fields = new Set(routesIn(form).flatMap(({ route: { when } }) => Object.keys(when.body ?? {})));
  if (fields.size <= CONDITION_FIELDS_MAX) return [];
  const message = `conditions name ${fields.size} fields of bodies, and at most ${CONDITION_FIELDS_MAX} are taken`;
  return [findingAt(["models"], message)];
}

/** Conditions on keys that no key of the file fulfils. */
export function routeWarnings(form: Form): readonly Finding[] {
  const known = [...new Set(form.keys.flatMap(({ metadata = {} }) => Object.keys(metadata))), "name", "team"];
  return routesIn(form).flatMap(({ route: { when }, path }) =>
    Object.keys(when.key ?? {}).flatMap((name) => {
      if (known.includes(name)) return [];
      const message = `no key has ${quoted(name, "this")} in its metadata, so this route is never taken`;
      return [{ ...findingAt([...path, "when", "key", name], message, nearest(name, known)), at: "key" as const }];
    }),
  );
}
