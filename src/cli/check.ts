/**
 * `sluice check FILE`, or with `-c FILE`: says what is wrong with a configuration, or what it means. Exit code 1 if it cannot be used, with the records
 * that are in its data directory. It shows where credentials come from and never what they are.
 */
import { Command } from "commander";
import type { LimitRule } from "../base/limit-terms.ts";
import { CHAINS } from "../config/chains.ts";
import { sourcesOf, sourceText } from "../config/credentials.ts";
import { listenerText, placeText } from "../config/listener.ts";
import { readConfig } from "../config/load.ts";
import type { ModelConfig } from "../config/model.ts";
import { formatProblems } from "../config/problem.ts";
import { durationText, sizeText } from "../config/scalar.ts";
import type { Config, Form, KeyConfig, ProviderConfig, ProviderForm } from "../config/schema.ts";
import { routeName } from "../config/series.ts";
import { storeRefusal } from "../telemetry/sinks/store.ts";
import { CONFIG_VARIABLE, namedConfigOption } from "./config-option.ts";
import { section } from "./section.ts";
import { print, warn } from "./terminal.ts";

export function checkCommand(): Command {
  return new Command("check")
    .description("check a configuration file: what is wrong with it, or what it means")
    .argument("[file]", `configuration file; may be left out where --config or ${CONFIG_VARIABLE} names one`)
    .addOption(namedConfigOption("configuration file"))
    .action((file: string | undefined, { config }: { config?: string }, command: Command) => {
      const isTwice = file !== undefined && command.getOptionValueSource("config") === "cli";
      if (isTwice) command.error("error: the configuration file is named twice, as an argument and with --config");
      const path = file ?? config;
      if (path === undefined) command.error("error: missing required argument 'file'");
      process.exitCode = check(path, process.env);
    });
}

function check(file: string, env: NodeJS.ProcessEnv): number {
  const { text, form, config, problems, missing, warnings } = readConfig(file, env);
  if (form === null || config === null) {
    warn(formatProblems(file, text, problems));
    warn(`${file} cannot be used: ${problems.length === 1 ? "1 problem" : `${problems.length} problems`}.`);
    return 1;
  }
  const refusal = storeRefusal(config.dataDir);
  if (refusal !== null) {
    warn(`${refusal}. Use that release, or restore a backup that this one can read (setting 'data_dir').`);
    return 1;
  }
  if (missing.length > 0) {
    // The service has an environment of its own, so this is not a fault of the file.
    warn(formatProblems(file, text, missing));
    warn("The environment of this command lacks the credentials above; make sure that the service's has them.\n");
  }
  if (warnings.length > 0) {
    warn(formatProblems(file, text, warnings));
    warn("This keeps the file from nothing, but is it meant?\n");
  }
  print(`${file} is valid.\n\n${summary(form, config).join("\n")}`);
  return 0;
}

function summary(form: Form, config: Config): readonly string[] {
  return [
    ...config.listen.map(
      (listener, index) => `${index === 0 ? "listen      " : "            "} ${listenerText(listener)}`,
    ),
    `admin        ${placeText({ kind: "tcp", ...config.admin })}`,
    `workers      ${config.workers ?? "one per CPU"}`,
    `data         ${config.dataDir}`,
    ...(config.accessLogPath === null ? [] : [`access log   ${config.accessLogPath}`]),
    ...section(
      "providers",
      Object.entries(form.providers).map(([name, provider]) => {
        const meant = config.providers[name];
        return providerCells(name, provider, meant === undefined ? "" : transportText(meant));
      }),
    ),
    ...section("models", Object.entries(config.models).flatMap(modelCells)),
    `passthrough  ${config.passthrough ?? "none: requests that name no model are refused"}`,
    ...section(
      "keys",
      config.keys.map((key) => keyCells(key, config.loadedAtMs)),
    ),
    ...limitsText(
      "rate limits",
      config.limits.filter(({ calendar }) => calendar === null),
    ),
    ...limitsText(
      "budgets",
      config.limits.filter(({ calendar }) => calendar !== null),
    ),
  ];
}

function limitsText(heading: string, rules: readonly LimitRule[]): readonly string[] {
  return rules.length === 0 ? [] : section(heading, rules.map(limitCells));
}

const CLIENTS_NAME = "(the client's name)";

/** A row for each target, in the order in which they are tried where nothing else decides. */
function modelCells([alias, model]: [alias: string, model: ModelConfig]): readonly (readonly string[])[] {
  const routes = (model.routes ?? []).flatMap(({ name, to }) => routeCells(routeName(alias, name), to));
  return [...routes, ...routeCells(alias, model)];
}

/** Of a model's own route, or of one with conditions. */
function routeCells(alias: string, model: ModelConfig): readonly (readonly string[])[] {
  const { arms } = model;
  const [fallbacks, shadows] = [fallbackCells(model), shadowCells(model)];
  if (!arms) return [...targetCells(alias, model, ""), ...fallbacks, ...shadows];
  const rows = arms.list.flatMap(({ name, share, first, count, strategy, attempts }, index) => {
    const targets = model.targets.slice(first, first + count);
    return targetCells(index === 0 ? alias : "", { targets, strategy, attempts }, `${name}, share ${share}`);
  });
  return [...rows, ...fallbacks, ...shadows];
}

/** A row for each target that failures lead to. */
function fallbackCells({ fallbacks = {} }: ModelConfig): readonly (readonly string[])[] {
  return CHAINS.flatMap((name) =>
    (fallbacks[name] ?? []).map(({ provider, model }) => {
      return ["", `-> ${provider}`, model ?? CLIENTS_NAME, `fallback: ${name}`];
    }),
  );
}

function shadowCells({ shadow }: ModelConfig): readonly (readonly string[])[] {
  if (!shadow) return [];
  const { provider, model, percent } = shadow;
  return [["", `-> ${provider}`, model ?? CLIENTS_NAME, `shadow, ${percent} % of the requests`]];
}

function targetCells(
  alias: string,
  { targets, strategy, attempts }: ModelConfig,
  arm: string,
): readonly (readonly string[])[] {
  const sorted = targets.toSorted((a, b) => a.priority - b.priority);
  const choice = targets.length === 1 ? [] : [strategy];
  const strategyText = [
    ...(arm === "" ? [] : [arm]),
    ...choice,
    ...(attempts === 1 ? [] : [`up to ${attempts} tries`]),
  ].join(", ");
  return sorted.map(({ provider, model, weight, priority }, index) => [
    index === 0 ? alias : "",
    `-> ${provider}`,
    model ?? CLIENTS_NAME,
    [
      ...(index === 0 ? [strategyText] : []),
      ...(targets.length === 1 ? [] : [`priority ${priority}, weight ${weight}`]),
    ]
      .filter((part) => part !== "")
      .join("; "),
  ]);
}

function providerCells(name: string, provider: ProviderForm, transport: string): readonly string[] {
  if (provider.type === "demo") return [name, "built in", transport, ""];
  const url = withoutQuery(provider.base_url);
  const credentials = credentialsText(sourcesOf(provider).map(({ source }) => sourceText(source)));
  const { health_check: check } = provider;
  const checked =
    check === undefined ? "" : `; checked every ${durationText(check.interval)}: ${withoutQuery(check.path)}`;
  return [name, url, transport, `${credentials}${checked}`];
}

/** What stands in a query may be a credential. */
function withoutQuery(url: string): string {
  return url.replace(/\?.*$/, "?...");
}

/** What carries its requests. */
function transportText({ transport, http2, proxy }: ProviderConfig): string {
  const through = proxy === null ? "" : `, through ${proxy}`;
  return `${transport}${http2 ? ", HTTP/2" : ""}${through}`;
}

function credentialsText(sources: readonly string[]): string {
  const [first, ...others] = sources;
  if (first === undefined) return "no credential";
  if (others.length === 0) return `credential from ${first}`;
  return `${sources.length} credentials in turn, from ${sources.join(", ")}`;
}

function keyCells(key: KeyConfig, nowMs: number): readonly string[] {
  const models = key.models === null ? "all models" : key.models.join(", ");
  return [key.name, keyState(key, nowMs), models];
}

function limitCells(rule: LimitRule) {
  const { name, scope, quantity, kind, limit, burst, keys, models, observes, alertAt } = rule;
  const rate = rateText(rule);
  const alerts = alertAt.length === 0 ? "" : `, alerts at ${alertAt.map((percent) => `${percent} %`).join(", ")}`;
  const how =
    kind === "budget" ? alerts : kind === "window" ? ", in windows" : burst === limit ? "" : `, burst ${burst}`;
  const only = [...(keys ?? []), ...(models ?? [])];
  return [
    name,
    quantity === "cost" ? "money" : quantity,
    `${rate}${how}`,
    scope.length === 0 ? "all together" : `each ${scope.join(" and ")}`,
    `${only.length === 0 ? "" : `only ${only.join(", ")}`}${observes ? " (observed only)" : ""}`,
  ];
}

const NANO_PER_DOLLAR = 1_000_000_000;

function rateText({ quantity, kind, limit, periodMs, calendar }: LimitRule): string {
  const amount = quantity === "bytes_in_flight" ? sizeText(limit) : String(limit);
  if (calendar === null) return kind === "held" ? `${amount} at a time` : `${amount} per ${durationText(periodMs)}`;
  const much = quantity === "cost" ? `${limit / NANO_PER_DOLLAR} USD` : amount;
  return calendar.per === "total" ? `${much} in total` : `${much} per ${calendar.per} (${calendar.timeZone})`;
}

function keyState({ enabled, expiresAtMs }: KeyConfig, nowMs: number): string {
  if (!enabled) return "disabled";
  if (expiresAtMs === null) return "enabled";
  const expiry = new Date(expiresAtMs).toISOString();
  return expiresAtMs <= nowMs ? `expired ${expiry}` : `enabled until ${expiry}`;
}
