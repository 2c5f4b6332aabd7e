/**
 * What the schema cannot see because it needs two places of the file: names that must exist, be unique or differ.
 * Pure; supervisor and command line.
 */
import { KEYS_MAX, MODELS_MAX, PROVIDERS_MAX } from "../base/limits.ts";
import { type Ends, ownTargets } from "./arms.ts";
import { checkArms, type EndsAt, endsOf, mostTargets } from "./arms-check.ts";
import { checkBudgets } from "./budget.ts";
import { checkCredentials } from "./credentials.ts";
import { checkFallbacks, fallbackForms } from "./fallback.ts";
import { type Finding, findingAt, nearest } from "./finding.ts";
import { checkHealthCheck } from "./health-check.ts";
import type { ModelForm, TargetForm } from "./model.ts";
import { checkRateLimits } from "./rate-limit-check.ts";
import { checkRoutes } from "./route-check.ts";
import type { Form, ListenerForm, ProviderForm } from "./schema.ts";
import { quoted } from "./secret.ts";
import { checkStrategies } from "./strategy-check.ts";

/** The alias of the route that takes any model. */
const ANY_MODEL = "*";

/** Hop-by-hop and framing headers, which the transport sets itself (RFC 9110 section 7.6.1). */
const TRANSPORT_HEADERS: ReadonlySet<string> = new Set([
  ...["connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"],
  ...["proxy-authenticate", "proxy-authorization", "proxy-connection"],
]);

/** Headers that carry credentials; their place is `credential`, so that no secret stands in the file. */
const CREDENTIAL_HEADERS: ReadonlySet<string> = new Set(["authorization", "api-key", "x-api-key", "cookie"]);

export function checkReferences(form: Form): readonly Finding[] {
  return [
    ...counts(form),
    ...ports(form),
    ...listeners(form),
    ...bodies(form),
    ...Object.entries(form.providers).flatMap(([name, provider]) => [
      ...providerHeaders(name, provider),
      ...providerTransport(name, provider),
      ...checkCredentials(name, provider),
      ...checkHealthCheck(name, provider),
    ]),
    ...models(form),
    ...checkArms(form),
    ...checkStrategies(form),
    ...checkRoutes(form),
    ...passthrough(form),
    ...keyDuplicates(form),
    ...keyModels(form),
    ...checkRateLimits(form),
    ...checkBudgets(form),
  ];
}

/** Whether the base URL of this provider can only be formed with a model name. */
export function needsModel(form: Form, name: string): boolean {
  const provider = providerOf(form, name);
  return provider?.type === "openai" && provider.base_url.includes("{model}");
}

function providerOf(form: Form, name: string): ProviderForm | undefined {
  return Object.hasOwn(form.providers, name) ? form.providers[name] : undefined;
}

function counts(form: Form): readonly Finding[] {
  const sections: readonly [name: string, count: number, max: number][] = [
    ["providers", Object.keys(form.providers).length, PROVIDERS_MAX],
    ["models", Object.keys(form.models).length, MODELS_MAX],
    ["prices", Object.keys(form.prices).length, MODELS_MAX],
    ["keys", form.keys.length, KEYS_MAX],
  ];
  const excess = sections.filter(([, count, max]) => count > max);
  const findings = excess.map(([name, count, max]) =>
    findingAt([name], `at most ${max} ${name} are taken, not ${count}`),
  );
  if (Object.keys(form.providers).length > 0) return findings;
  return [...findings, findingAt(["providers"], "at least one provider is needed, such as 'demo: { type: demo }'")];
}

/** Also refused on different addresses: one of them is usually 0.0.0.0 sooner or later. */
function ports({ listen, admin }: Form): readonly Finding[] {
  const { port } = admin.listen;
  const index = listen.findIndex(({ address }) => address.kind === "tcp" && address.port === port);
  if (index === -1) return [];
  const message = `'listen' and 'admin.listen' both use port ${port}; give one of them another`;
  // One of the two may be a default and have no place in the file.
  return [findingAt(port === 8080 ? ["listen", index, "address"] : ["admin", "listen"], message)];
}

function listeners({ listen }: Form): readonly Finding[] {
  const seen = new Set<string>();
  return listen.flatMap((listener, index) => {
    const { address } = listener;
    const name = address.kind === "tcp" ? `${address.host} ${address.port}` : address.path;
    const again = seen.has(name) ? [findingAt(["listen", index, "address"], "this address is given twice")] : [];
    seen.add(name);
    return [...again, ...(address.kind === "tcp" ? tcpListener(index, listener) : unixListener(index, listener))];
  });
}

function tcpListener(index: number, listener: ListenerForm): readonly Finding[] {
  const { mode, group, proxy_protocol: proxyProtocol } = listener;
  const onlyUnix = (field: string) => keyAt(["listen", index, field], `only a unix socket has a ${field}`);
  const unix = proxyProtocol?.trusted.indexOf("unix") ?? -1;
  return [
    ...(mode === undefined ? [] : [onlyUnix("mode")]),
    ...(group === undefined ? [] : [onlyUnix("group")]),
    ...(unix === -1 ? [] : [trustedAt(index, unix, "only the peers of a unix socket are 'unix'")]),
    ...serverNames(index, listener),
  ];
}

function serverNames(index: number, { tls }: ListenerForm): readonly Finding[] {
  const seen = new Set<string>();
  return (tls?.certificates ?? []).flatMap(({ names }, certificate) =>
    names.flatMap((name, position) => {
      const again = seen.has(name);
      seen.add(name);
      const path = ["listen", index, "tls", "certificates", certificate, "names", position];
      return again ? [findingAt(path, "this name is given twice")] : [];
    }),
  );
}

function unixListener(index: number, { tls, proxy_protocol: proxyProtocol }: ListenerForm): readonly Finding[] {
  const address = proxyProtocol?.trusted.findIndex((peer) => peer !== "unix") ?? -1;
  return [
    ...(tls === undefined
      ? []
      : [keyAt(["listen", index, "tls"], "a unix socket takes no TLS; its mode and group guard it")]),
    ...(address === -1 ? [] : [trustedAt(index, address, "the peers of a unix socket have no address; write 'unix'")]),
  ];
}

function keyAt(path: readonly PropertyKey[], message: string): Finding {
  return { ...findingAt(path, message), at: "key" };
}

function trustedAt(index: number, position: number, message: string): Finding {
  return findingAt(["listen", index, "proxy_protocol", "trusted", position], message);
}

function bodies(form: Form): readonly Finding[] {
  if (form.limits.body_bytes <= form.limits.body_bytes_in_flight) return [];
  return [findingAt(["limits", "body_bytes"], "one body must not be larger than 'body_bytes_in_flight'")];
}

function providerHeaders(name: string, provider: ProviderForm): readonly Finding[] {
  if (provider.type === "demo") return [];
  const seen = new Set<string>();
  return Object.keys(provider.headers).flatMap((header) => {
    const problem = headerProblem(header.toLowerCase(), seen);
    return problem === null
      ? []
      : [{ ...findingAt(["providers", name, "headers", header], problem), at: "key" as const }];
  });
}

/** What one setting takes for granted of another. */
function providerTransport(name: string, provider: ProviderForm): readonly Finding[] {
  if (provider.type === "demo") return [];
  const { transport, http2, proxy, proxy_password: password, tls, base_url: url } = provider;
  const at = (field: string, message: string) => findingAt(["providers", name, ...field.split(".")], message);
  const findings: Finding[] = [];
  if (transport === "native" && http2) findings.push(at("transport", "native speaks no HTTP/2; use undici or auto"));
  if (transport === "native" && proxy !== undefined)
    findings.push(at("transport", "native goes through no proxy; use undici or auto"));
  const hasUser = proxy?.includes("@") === true;
  if (hasUser && password === undefined) findings.push(at("proxy", "a user needs 'proxy_password' as well"));
  if (!hasUser && password !== undefined)
    findings.push(at("proxy_password", "this needs a user in 'proxy', as in http://user@proxy.example:3128"));
  if (http2 && /^http:/i.test(url)) findings.push(at("http2", "HTTP/2 needs a base_url with https"));
  if ((tls.cert_file === undefined) !== (tls.key_file === undefined)) {
    const [present, absent] = tls.cert_file === undefined ? ["key_file", "cert_file"] : ["cert_file", "key_file"];
    findings.push(at(`tls.${present}`, `this needs '${absent}' as well`));
  }
  return findings;
}

function headerProblem(header: string, seen: Set<string>): string | null {
  if (TRANSPORT_HEADERS.has(header)) return "this header belongs to the connection and cannot be set";
  if (CREDENTIAL_HEADERS.has(header)) return "credentials are not written here; use 'credential' and 'auth'";
  if (seen.has(header)) return "this header is given twice";
  seen.add(header);
  return null;
}

function models(form: Form): readonly Finding[] {
  return Object.entries(form.models).flatMap(([alias, model]) => {
    const path = ["models", alias];
    const routes = model.routes ?? [];
    return [
      ...(isOnlyRoutes(model) ? [] : destination(form, alias, model, path)),
      ...routes.flatMap((route, index) => destination(form, alias, route, [...path, "routes", index])),
    ];
  });
}

/** It says nothing of targets of its own, and need not. */
function isOnlyRoutes({ routes, strategy, breaker, attempts, ...own }: ModelForm): boolean {
  return routes !== undefined && Object.values(own).every((value) => value === undefined);
}

/** Of a model, or of a route of it, at `path`. */
function destination(form: Form, alias: string, place: ModelForm, path: readonly PropertyKey[]): readonly Finding[] {
  return [
    ...endsOf(path, place).flatMap((at) => endsFindings(form, alias, at)),
    ...fallbackForms(place).flatMap(({ target, path: own }) =>
      targetFindings(form, alias, target, [...path, ...own, "provider"]),
    ),
    ...(place.shadow === undefined ? [] : targetFindings(form, alias, place.shadow, [...path, "shadow", "provider"])),
    ...checkFallbacks(alias, place, path, mostTargets(place)),
    ...checkHedge(place, path),
  ];
}

/** Of a model or route, or of an arm. */
function endsFindings(form: Form, alias: string, { path, ends }: EndsAt): readonly Finding[] {
  const misplaced = targetPlace(path, ends);
  if (misplaced !== null) return [misplaced];
  return ownTargets(ends).flatMap((target, index) => {
    const place = ends.targets === undefined ? path : [...path, "targets", index];
    return targetFindings(form, alias, target, [...place, "provider"]);
  });
}

/** A target stands in one place, with all that is said of it. */
function targetPlace(path: readonly PropertyKey[], ends: Ends): Finding | null {
  const said = (["provider", "model", "context_window", "supports"] as const).find((name) => ends[name]);
  if (ends.targets === undefined) return ends.provider === undefined ? findingAt(path, "'provider' is required") : null;
  return said === undefined ? null : keyAt([...path, said], "this stands at each of the 'targets'");
}

/** A hedge is another try, at another target; a canary is judged by its own answers, and not by who was faster. */
function checkHedge(form: ModelForm, path: readonly PropertyKey[]): readonly Finding[] {
  const { hedge, canary, attempts = 2 } = form;
  if (hedge === undefined) return [];
  const at = [...path, "hedge"];
  if (canary !== undefined) return [keyAt(at, "a model with a 'canary' has none")];
  if (mostTargets(form) > 1 && attempts > 1) return [];
  return [keyAt(at, "this needs at least two 'targets', and as many 'attempts'")];
}

function targetFindings(
  form: Form,
  alias: string,
  target: Pick<TargetForm, "provider" | "model">,
  path: readonly PropertyKey[],
): Finding[] {
  const { provider, model } = target;
  if (!providerOf(form, provider)) return [unknownProvider(form, path, provider)];
  if (alias !== ANY_MODEL || model !== undefined || !needsModel(form, provider)) return [];
  return [findingAt(path, "this provider's base_url contains {model}, so the route '*' needs a 'model'")];
}

function unknownProvider(form: Form, path: readonly PropertyKey[], name: string): Finding {
  const message = `there is no provider ${quoted(name, "of this name")}`;
  return findingAt(path, message, nearest(name, Object.keys(form.providers)));
}

function passthrough(form: Form): readonly Finding[] {
  const { passthrough: name } = form;
  if (name === undefined) return [];
  if (!providerOf(form, name)) return [unknownProvider(form, ["passthrough"], name)];
  if (!needsModel(form, name)) return [];
  return [findingAt(["passthrough"], "this provider's base_url contains {model}, and passthrough requests name none")];
}

function keyDuplicates(form: Form): readonly Finding[] {
  const names = new Set<string>();
  const hashes = new Set<string>();
  const findings: Finding[] = [];
  for (const [index, { name, hash }] of form.keys.entries()) {
    if (names.has(name)) findings.push(findingAt(["keys", index, "name"], "another key has this name"));
    if (hashes.has(hash)) findings.push(findingAt(["keys", index, "hash"], "another key has this hash"));
    names.add(name);
    hashes.add(hash);
  }
  return findings;
}

function keyModels(form: Form): readonly Finding[] {
  const aliases = Object.keys(form.models).filter((alias) => alias !== ANY_MODEL);
  const known = new Set(aliases);
  const anyTaken = Object.hasOwn(form.models, ANY_MODEL);
  return form.keys.flatMap(({ models: allowed }, index) =>
    (allowed ?? []).flatMap((model, position) => {
      const path = ["keys", index, "models", position];
      if (model === ANY_MODEL) return [findingAt(path, "'*' is not a model; leave 'models' out to allow all")];
      if (known.has(model) || anyTaken) return [];
      return [findingAt(path, `there is no model ${quoted(model, "of this name")}`, nearest(model, aliases))];
    }),
  );
}
