/**
 * Reads the store's hourly sums, for people. Any process that may read <dataDir>/usage.db, while the gateway runs or not:
 * the connection is read-only, and in WAL mode it neither waits for the drain nor holds it up. Sums are BigInt from end
 * to end, so that a year of nano-dollars is exact.
 */
import { existsSync } from "node:fs";
import { DatabaseSync, type SQLOutputValue } from "node:sqlite";
import { CodedError } from "../../base/errors.ts";
import { storePath } from "./store.ts";

/** SQL of what rows can be grouped by. Days and hours are UTC. */
const DIMENSIONS = {
  key: "key",
  model: "model",
  provider: "provider",
  // Of requests that named no model, and of some old sums, only the provider is known.
  target: "provider || CASE upstream_model WHEN '' THEN '' ELSE '/' || upstream_model END",
  day: "strftime('%Y-%m-%d', hour, 'unixepoch')",
  hour: "strftime('%Y-%m-%dT%H:00Z', hour, 'unixepoch')",
  kind: "kind",
} as const;

export type UsageDimension = keyof typeof DIMENSIONS;
export const USAGE_DIMENSIONS: readonly string[] = Object.keys(DIMENSIONS);

export function isUsageDimension(name: string): name is UsageDimension {
  return Object.hasOwn(DIMENSIONS, name);
}

export interface UsageQuery {
  readonly by: readonly UsageDimension[];
  /** Unix seconds; hours that end after it count whole. null: from the beginning. */
  readonly sinceS: number | null;
  /** Unix seconds; hours that begin before it count whole. null: to the end. */
  readonly untilS: number | null;
  readonly key: string | null;
  readonly model: string | null;
}

export interface UsageSums {
  readonly requests: bigint;
  /** Requests that were answered 4xx or 5xx, or not at all. */
  readonly errors: bigint;
  readonly inputTokens: bigint;
  readonly cachedTokens: bigint;
  readonly outputTokens: bigint;
  /** Requests whose tokens were counted by the gateway, not said by the provider. */
  readonly estimated: bigint;
  readonly costNanodollars: bigint;
}

export interface UsageRow extends UsageSums {
  /** Values of `by`, in its order. */
  readonly labels: readonly string[];
}

const SUMS = `sum(requests) AS requests,
  sum(CASE WHEN status_class IN ('1xx', '2xx', '3xx') THEN 0 ELSE requests END) AS errors,
  sum(input_tokens) AS inputTokens, sum(cached_tokens) AS cachedTokens, sum(output_tokens) AS outputTokens,
  sum(estimated) AS estimated, sum(cost_nanodollars) AS costNanodollars`;

/** The first layouts with sums by target, and by kind of record. */
const TARGET_VERSION = 3;
const KIND_VERSION = 4;
const LAYOUTS: Readonly<Partial<Record<UsageDimension, readonly [version: number, what: string]>>> = {
  target: [TARGET_VERSION, "targets"],
  kind: [KIND_VERSION, "kinds"],
};

/**
 * Rows in the order of their labels. Throws CodedError `no_usage` when there is no database, `store_version` when it is too
 * old for the question, `store_unreadable` else.
 */
export function queryUsage(dataDir: string, query: UsageQuery): UsageRow[] {
  const path = storePath(dataDir);
  if (!existsSync(path)) {
    throw new CodedError(
      "no_usage",
      `There is no usage in ${dataDir} yet: the gateway makes ${path} with its first record.`,
    );
  }
  try {
    return readRows(path, query);
  } catch (cause) {
    if (cause instanceof CodedError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CodedError("store_unreadable", `${path} could not be read: ${reason}`, cause);
  }
}

function readRows(path: string, query: UsageQuery): UsageRow[] {
  const database = new DatabaseSync(path, { readOnly: true, timeout: 5_000 });
  try {
    const version = Number(database.prepare("PRAGMA user_version").get()?.["user_version"]);
    for (const name of query.by) requireLayout(name, version, path);
    const { where, parameters } = conditions(query, version);
    const groups = query.by.map((name) => DIMENSIONS[name]);
    const columns = [...groups.map((sql, i) => `${sql} AS label${i}`), SUMS].join(", ");
    const statement = database.prepare(
      `SELECT ${columns} FROM rollup_hourly WHERE ${where} GROUP BY ${groups.join(", ")} ORDER BY ${groups.join(", ")}`,
    );
    statement.setReadBigInts(true);
    return statement.all(...parameters).map((row) => usageRow(row, query.by.length));
  } finally {
    database.close();
  }
}

function requireLayout(name: UsageDimension, version: number, path: string): void {
  const [least, what] = LAYOUTS[name] ?? [0, ""];
  if (version >= least) return;
  throw new CodedError(
    "store_version",
    `${path} has no ${what} yet: start the gateway of this release once, it adds them.`,
  );
}

/** Copies that nobody asked for are nobody's usage; who asks for kinds gets them all. */
const SPENT = "kind <> 'shadow'";

function conditions(query: UsageQuery, version: number): { where: string; parameters: (string | number)[] } {
  const all: [sql: string, value: string | number | null][] = [
    ["hour + 3600 > ?", query.sinceS],
    ["hour < ?", query.untilS],
    ["key = ?", query.key],
    ["model = ?", query.model],
  ];
  const set = all.flatMap(([sql, value]) => (value === null ? [] : [{ sql, value }]));
  return {
    where: [version < KIND_VERSION || query.by.includes("kind") ? "1" : SPENT, ...set.map(({ sql }) => sql)].join(
      " AND ",
    ),
    parameters: set.map(({ value }) => value),
  };
}

function usageRow(row: Record<string, SQLOutputValue>, labels: number): UsageRow {
  return {
    labels: Array.from({ length: labels }, (_, i) => String(row[`label${i}`])),
    requests: BigInt(String(row["requests"])),
    errors: BigInt(String(row["errors"])),
    inputTokens: BigInt(String(row["inputTokens"])),
    cachedTokens: BigInt(String(row["cachedTokens"])),
    outputTokens: BigInt(String(row["outputTokens"])),
    estimated: BigInt(String(row["estimated"])),
    costNanodollars: BigInt(String(row["costNanodollars"])),
  };
}

/** The row under all rows. */
export function totalOf(rows: readonly UsageSums[]): UsageSums {
  const sum = (pick: (row: UsageSums) => bigint) => rows.reduce((total, row) => total + pick(row), 0n);
  return {
    requests: sum((row) => row.requests),
    errors: sum((row) => row.errors),
    inputTokens: sum((row) => row.inputTokens),
    cachedTokens: sum((row) => row.cachedTokens),
    outputTokens: sum((row) => row.outputTokens),
    estimated: sum((row) => row.estimated),
    costNanodollars: sum((row) => row.costNanodollars),
  };
}
