/**
 * `sluice usage`: requests, tokens and cost by key, model, target and day. Reads the store's file, so it works while the gateway
 * runs and when it does not. Times are UTC, and sums are kept per hour: an hour that --since or --until cuts counts whole.
 */
import { Command, InvalidArgumentError, Option } from "commander";
import { isUsageDimension, queryUsage, USAGE_DIMENSIONS, type UsageDimension } from "../telemetry/sinks/usage-query.ts";
import { configOption } from "./config-option.ts";
import { type DataDirOptions, dataDirOf, dataDirOption } from "./data-dir-option.ts";
import { print } from "./terminal.ts";
import { formatCsv, formatJson, formatTable } from "./usage-report.ts";

const DEFAULT_BY: UsageDimension[] = ["key", "model", "day"];
const UNIT_S: Readonly<Record<string, number>> = { m: 60, h: 3_600, d: 86_400, w: 604_800 };

interface UsageOptions extends DataDirOptions {
  readonly by: UsageDimension[];
  /** Unix seconds. */
  readonly since?: number;
  readonly until?: number;
  readonly key?: string;
  readonly model?: string;
  readonly json?: true;
  readonly csv?: true;
}

export function usageCommand(): Command {
  return new Command("usage")
    .description("usage and cost by key, model, target (provider/upstream model) and day (UTC), summed by hour")
    .addOption(dataDirOption())
    .addOption(configOption("configuration file that names the data directory"))
    .option(
      "--by <list>",
      `columns out of ${USAGE_DIMENSIONS.join(", ")}; may be repeated`,
      parseDimensions,
      DEFAULT_BY,
    )
    .option(
      "--since <time>",
      "from then on: 90m, 24h, 7d, 4w ago, or an ISO date; that hour (UTC) counts whole",
      parseTime,
    )
    .option("--until <time>", "before then, likewise", parseTime)
    .option("--key <name>", "this key only")
    .option("--model <name>", "this model only")
    .addOption(new Option("--json", "as JSON").conflicts("csv"))
    .option("--csv", "as CSV")
    .action((options: UsageOptions, command: Command) => print(usage(options, dataDirOf(options, command))));
}

function usage(options: UsageOptions, dataDir: string): string {
  const rows = queryUsage(dataDir, {
    by: options.by,
    sinceS: options.since ?? null,
    untilS: options.until ?? null,
    key: options.key ?? null,
    model: options.model ?? null,
  });
  if (options.json) return formatJson(options.by, rows);
  if (options.csv) return formatCsv(options.by, rows);
  return rows.length === 0 ? "No requests were recorded in this range." : formatTable(options.by, rows);
}

/** `before`: of the options `--by` to the left of this one. */
function parseDimensions(list: string, before: UsageDimension[]): UsageDimension[] {
  const names = list.split(",").map((name) => name.trim());
  const dimensions = names.filter(isUsageDimension);
  if (dimensions.length === names.length)
    return [...new Set([...(before === DEFAULT_BY ? [] : before), ...dimensions])];
  throw new InvalidArgumentError(`It is a list of ${USAGE_DIMENSIONS.join(", ")}.`);
}

/** Unix seconds of "7d" (ago) or of an ISO date, which is UTC unless it says otherwise. */
function parseTime(text: string): number {
  const [, count, unit] = /^(\d{1,5})([mhdw])$/.exec(text) ?? [];
  const age = Number(count) * (UNIT_S[unit ?? ""] ?? Number.NaN);
  const seconds = (Number.isNaN(age) ? parseIso(text) : Date.now() - age * 1_000) / 1_000;
  if (Number.isNaN(seconds)) throw new InvalidArgumentError("It is 90m, 24h, 7d, 4w or an ISO date like 2026-01-31.");
  return Math.floor(seconds);
}

function parseIso(text: string): number {
  if (!/^\d{4}-\d{2}-\d{2}/.test(text)) return Number.NaN;
  const hasZone = !text.includes("T") || /(Z|[+-]\d{2}:?\d{2})$/.test(text);
  return Date.parse(hasZone ? text : `${text}Z`);
}
