/** Rows of `sluice usage` as a table for people, as JSON and as CSV. Command line; pure. */
import { totalOf, type UsageRow, type UsageSums } from "../telemetry/sinks/usage-query.ts";

const NANODOLLARS_PER_DOLLAR = 1_000_000_000n;
const NANO_DIGITS = 9;
const CENT_DIGITS = 2;
const SUM_HEADINGS = ["requests", "errors", "input", "cached", "output", "estimated"];

/** Exact: all nine decimals of a nano-dollar, without trailing zeros beyond the cents. */
export function formatDollars(nanodollars: bigint): string {
  const [whole, decimals] = dollarParts(nanodollars);
  return `${whole}.${decimals.replace(/0+$/, "").padEnd(CENT_DIGITS, "0")}`;
}

function dollarParts(nanodollars: bigint): [whole: string, decimals: string] {
  const decimals = String(nanodollars % NANODOLLARS_PER_DOLLAR).padStart(NANO_DIGITS, "0");
  return [String(nanodollars / NANODOLLARS_PER_DOLLAR), decimals];
}

export function formatTable(by: readonly string[], rows: readonly UsageRow[]): string {
  const total = totalOf(rows);
  const costs = alignDecimals([...rows, total].map((row) => formatDollars(row.costNanodollars)));
  const labels = [...rows.map((row) => row.labels.map(labelCell)), by.map((_, i) => (i === 0 ? "total" : ""))];
  const lines = [...rows, total].map((row, i) => [...(labels[i] ?? []), ...sumCells(row), costs[i] ?? ""]);
  return alignColumns([[...by, ...SUM_HEADINGS, "cost USD"], ...lines], by.length);
}

/** A model name is the client's: whatever it holds, it stays in its cell. */
function labelCell(label: string): string {
  return label === "" ? "-" : label.replaceAll(/\s/g, " ");
}

function sumCells(row: UsageSums): string[] {
  const counts = [row.requests, row.errors, row.inputTokens, row.cachedTokens, row.outputTokens];
  return [...counts.map(String), formatShare(row.estimated, row.requests)];
}

/** Percent with one decimal; "0%" only if there is none at all. */
function formatShare(part: bigint, whole: bigint): string {
  if (part === 0n || whole === 0n) return "0%";
  const permille = (part * 1_000n) / whole;
  return permille === 0n ? "<0.1%" : `${permille / 10n}.${permille % 10n}%`;
}

/** Same number of decimals in all, so that the points stand under each other. */
function alignDecimals(amounts: readonly string[]): string[] {
  const decimalsOf = (amount: string) => amount.length - amount.indexOf(".") - 1;
  const most = Math.max(...amounts.map(decimalsOf));
  return amounts.map((amount) => amount + "0".repeat(most - decimalsOf(amount)));
}

/** Labels to the left, numbers to the right. */
function alignColumns(lines: readonly (readonly string[])[], labels: number): string {
  const widths = (lines[0] ?? []).map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  const align = (cell: string, column: number) =>
    column < labels ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0);
  return lines.map((line) => line.map(align).join("  ").trimEnd()).join("\n");
}

/** Token counts are JSON numbers; the cost is a decimal string, because a double does not hold every amount. */
export function formatJson(by: readonly string[], rows: readonly UsageRow[]): string {
  const entries = rows.map((row) => ({
    ...Object.fromEntries(by.map((name, i) => [name, row.labels[i] ?? ""])),
    requests: Number(row.requests),
    errors: Number(row.errors),
    input_tokens: Number(row.inputTokens),
    cached_tokens: Number(row.cachedTokens),
    output_tokens: Number(row.outputTokens),
    estimated_requests: Number(row.estimated),
    cost_usd: formatDollars(row.costNanodollars),
  }));
  return JSON.stringify(entries, null, 2);
}

/** RFC 4180 with a heading, and the line ends of Unix. */
export function formatCsv(by: readonly string[], rows: readonly UsageRow[]): string {
  const sums = [
    "requests",
    "errors",
    "input_tokens",
    "cached_tokens",
    "output_tokens",
    "estimated_requests",
    "cost_usd",
  ];
  const lines = rows.map((row) => [
    ...row.labels,
    ...[row.requests, row.errors, row.inputTokens, row.cachedTokens, row.outputTokens, row.estimated].map(String),
    formatDollars(row.costNanodollars),
  ]);
  return [[...by, ...sums], ...lines].map((line) => line.map(csvCell).join(",")).join("\n");
}

function csvCell(cell: string): string {
  return /[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}
