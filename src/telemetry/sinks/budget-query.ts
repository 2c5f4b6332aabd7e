/**
 * What was used since an instant, by all that budgets can count apart: a task of the drain's thread, which owns the store. In the hour
 * that the instant is in, all counts. Empty if there is no store.
 */
import { existsSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { storePath } from "./store.ts";

export const BUDGET_TASK = new URL("./budget-query.ts", import.meta.url);

const S_PER_HOUR = 3_600;
/** The first layout with sums by target. */
const TARGET_VERSION = 3;
/** The first layout with shadow copies, which are no part of a budget. */
const KIND_VERSION = 4;

export interface BudgetTask {
  readonly dataDir: string;
  /** Seconds since 1970. */
  readonly sinceS: number;
}

export interface UsedSums {
  readonly key: string;
  readonly model: string;
  readonly provider: string;
  /** Empty: nobody knows. */
  readonly upstreamModel: string;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly costNanodollars: number;
}

export default function budgetTask({ dataDir, sinceS }: BudgetTask): UsedSums[] {
  const path = storePath(dataDir);
  if (!existsSync(path)) return [];
  const database = new DatabaseSync(path, { readOnly: true, timeout: 5_000 });
  try {
    const version = Number(database.prepare("PRAGMA user_version").get()?.["user_version"]);
    if (version === 0) return [];
    const upstream = version < TARGET_VERSION ? "''" : "upstream_model";
    const spent = version < KIND_VERSION ? "1" : "kind <> 'shadow'";
    const statement = database.prepare(
      `SELECT key, model, provider, ${upstream} AS upstreamModel, sum(input_tokens) AS inputTokens,
        sum(output_tokens) AS outputTokens, sum(cost_nanodollars) AS costNanodollars
        FROM rollup_hourly WHERE hour >= ? AND ${spent} GROUP BY 1, 2, 3, 4`,
    );
    statement.setReadBigInts(true);
    return statement.all(Math.floor(sinceS / S_PER_HOUR) * S_PER_HOUR).map((row) => ({
      key: String(row["key"]),
      model: String(row["model"]),
      provider: String(row["provider"]),
      upstreamModel: String(row["upstreamModel"]),
      inputTokens: Number(row["inputTokens"]),
      outputTokens: Number(row["outputTokens"]),
      costNanodollars: Number(row["costNanodollars"]),
    }));
  } finally {
    database.close();
  }
}
