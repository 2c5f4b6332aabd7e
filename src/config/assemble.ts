/**
 * A validated form to the Config it means: names in camelCase, units last, absolute paths, credentials in place.
 * Supervisor and command line. Assumes that the schema took the form; says nothing itself, `outside` gathers problems.
 */
import { resolve } from "node:path";
import { nowMs, wallMs } from "../base/clock.ts";
import { armsOf, formTargets, ownTargets } from "./arms.ts";
import { breakerRulesOf } from "./breaker.ts";
import { budgetRulesOf } from "./budget.ts";
import { capabilityOf } from "./capability.ts";
import { allTargets, chainTargets, type FallbacksConfig } from "./chains.ts";
import { conditionOf } from "./condition.ts";
import { healthCheckOf } from "./health-check.ts";
import { hedgeRulesOf } from "./hedge.ts";
import { listenerOf } from "./listener-files.ts";
import { shedDelayOf } from "./load-shedding.ts";
import type { ModelConfig, ModelForm, ShadowConfig } from "./model.ts";
import type { Outside } from "./outside.ts";
import { limitRulesOf } from "./rate-limit.ts";
import { needsModel } from "./references.ts";
import { retriesOf } from "./retry.ts";
import type { Config, Form, KeyConfig, ProviderConfig, ProviderForm } from "./schema.ts";
import type { Price, TransportName } from "./snapshot.ts";
import { hashByOf } from "./strategy.ts";
import { waitRulesOf } from "./wait-queue.ts";

export function configOf(form: Form, outside: Outside): Config {
  const accessLog = form.access_log?.path;
  return {
    loadedAtMs: Math.round(wallMs(nowMs())),
    listen: form.listen.map((listener, index) => listenerOf(index, listener, outside)),
    admin: form.admin.listen,
    workers: form.workers,
    dataDir: resolve(outside.directory, form.data_dir),
    logLevel: form.log.level,
    accessLogPath: accessLog === undefined ? null : resolve(outside.directory, accessLog),
    bounds: boundsOf(form.limits),
    shedDelayMs: shedDelayOf(form.load_shedding),
    timeouts: timeoutsOf(form.timeouts),
    replayStale: form.replay_stale,
    series: new Map(),
    arms: new Map(),
    histograms: { intervalMs: form.histograms.interval, diskBytes: form.histograms.disk_bytes },
    providers: mapValues(form.providers, (provider, name) => providerOf(name, provider, outside)),
    retries: retriesOf(form.retries),
    breaker: breakerRulesOf(form.breaker),
    models: mapValues(form.models, modelOf),
    passthrough: form.passthrough ?? onlyProvider(form),
    prices: mapValues(form.prices, priceOf),
    keys: form.keys.map(keyOf),
    waitRules: form.rate_limit_queue === undefined ? null : waitRulesOf(form.rate_limit_queue),
    userHeader: form.user_header?.toLowerCase() ?? null,
    limits: [...form.rate_limits.flatMap(limitRulesOf), ...form.budgets.flatMap(budgetRulesOf)],
  };
}

function mapValues<V, R>(record: Readonly<Record<string, V>>, map: (value: V, name: string) => R): Record<string, R> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value, name)]));
}

/** Of a model at its provider, where the file does not say it. */
type Naming = (model: string | undefined) => string | null;

function modelOf(form: ModelForm, alias: string): ModelConfig {
  const named = (model: string | undefined) => model ?? (alias === "*" ? null : alias);
  const routes = (form.routes ?? []).map((route) => ({
    name: route.name,
    when: conditionOf(route.when),
    to: destinationOf(route, named),
  }));
  return routes.length === 0 ? destinationOf(form, named) : { ...destinationOf(form, named), routes };
}

function destinationOf(form: ModelForm, named: Naming): ModelConfig {
  return { ...targetedOf(form, named), shadow: shadowOf(form, named) };
}

function shadowOf({ shadow }: ModelForm, named: Naming): ShadowConfig | null {
  if (shadow === undefined) return null;
  const { provider, model, percent, in_flight: inFlight } = shadow;
  return { provider, model: named(model), percent, inFlight };
}

function targetedOf(form: ModelForm, named: Naming): ModelConfig {
  const targets = formTargets(form).map((target) => {
    return { ...target, model: named(target.model), capability: capabilityOf(target) };
  });
  const chains = Object.entries(form.fallbacks ?? {}).map(([name, chain = []]) => [
    name,
    chain.map((target) => ({
      provider: target.provider,
      model: named(target.model),
      weight: 1,
      priority: 0,
      capability: capabilityOf(target),
    })),
  ]);
  const { strategy } = form;
  const own = ownTargets(form).length;
  const hashBy = hashByOf(form.hash_by);
  const hedge = form.hedge === undefined ? {} : { hedge: hedgeRulesOf(form.hedge) };
  const common = {
    targets,
    strategy,
    hashBy,
    attempts: form.attempts ?? own,
    breaker: form.breaker === "on",
    ...hedge,
  };
  if (chains.length === 0) return { ...common, arms: armsOf(form, 0) };
  const model = { ...common, fallbacks: Object.fromEntries(chains) as FallbacksConfig };
  const attempts = form.attempts ?? allTargets(model).length;
  return { ...model, attempts, retries: (form.attempts ?? 0) > own, arms: armsOf(form, chainTargets(model).length) };
}

function boundsOf(limits: Form["limits"]): Config["bounds"] {
  return {
    bodyBytes: limits.body_bytes,
    bodyBytesInFlight: limits.body_bytes_in_flight,
    jsonDepth: limits.json_depth,
    connectionsPerProvider: limits.connections_per_provider,
    queuePerProvider: limits.queue_per_provider,
  };
}

function timeoutsOf(timeouts: Form["timeouts"]): Config["timeouts"] {
  return {
    connectMs: timeouts.connect,
    firstByteMs: timeouts.first_byte,
    idleMs: timeouts.idle,
    totalMs: timeouts.total,
    queueMs: timeouts.queue,
    stallMs: timeouts.stall,
    drainMs: timeouts.drain,
    upstreamKeepAliveMs: timeouts.upstream_keep_alive,
  };
}

/** The demo provider answers with usage like OpenAI, and takes no credential. */
const DEMO: ProviderConfig = {
  type: "demo",
  baseUrl: null,
  credentials: [],
  headers: [],
  query: "",
  transport: "native",
  tls: { ca: null, client: null, serverName: null },
  http2: false,
  proxy: null,
  proxyAuthorization: null,
  usageOption: true,
};

function providerOf(name: string, provider: ProviderForm, outside: Outside): ProviderConfig {
  if (provider.type === "demo") return DEMO;
  return {
    type: "openai",
    baseUrl: provider.base_url,
    credentials: outside.credentials(name, provider),
    headers: Object.entries(provider.headers).flatMap(([header, value]) => [header.toLowerCase(), value]),
    query: new URLSearchParams(provider.query).toString(),
    transport: transportOf(provider),
    tls: outside.providerTls(name, provider.tls),
    http2: provider.http2,
    proxy: provider.proxy === undefined ? null : new URL(provider.proxy).origin,
    proxyAuthorization: outside.proxyAuthorization(name, provider),
    usageOption: provider.usage_option,
    healthCheck: healthCheckOf(provider.health_check),
  };
}

/** What `auto` means: the native one for all that it can do. */
function transportOf({ transport, http2, proxy }: ProviderForm & { type: "openai" }): TransportName {
  if (transport !== "auto") return transport;
  return http2 || proxy !== undefined ? "undici" : "native";
}

/** The one provider there is, unless its URL needs a model name, which passthrough requests do not have. */
function onlyProvider(form: Form): string | null {
  const [name, ...others] = Object.keys(form.providers);
  return name === undefined || others.length > 0 || needsModel(form, name) ? null : name;
}

function priceOf({ input, cached_input, output }: Form["prices"][string]): Price {
  return { inputPico: input, cachedInputPico: cached_input ?? input, outputPico: output };
}

function keyOf(form: Form["keys"][number]): KeyConfig {
  const { name, hash, enabled, explain, priority, metadata, overrides } = form;
  const [expiresAtMs, models, team] = [form.expires ?? null, form.models ?? null, form.team ?? null];
  const key = { name, hash, enabled, expiresAtMs, models, team, explain, priority };
  const more = { ...(metadata === undefined ? {} : { metadata }), ...(overrides === undefined ? {} : { overrides }) };
  return { ...key, ...more };
}
