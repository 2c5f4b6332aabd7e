/** What the subcommands of `sluice hdr` have in common: options, units, columns. Command line; pure. */
import { InvalidArgumentError, Option } from "commander";
import { CodedError } from "../base/errors.ts";

export const UNITS_NS = { us: 1_000, ms: 1_000_000, ns: 1 } as const;
export type Unit = keyof typeof UNITS_NS;

export function tagOption(): Option {
  return new Option("--tag <tag>", "this tag only; * stands for anything; may be repeated")
    .default([], "all")
    .argParser((tag: string, before: string[]) => [...before, tag]);
}

export function unitOption(): Option {
  return new Option("--unit <unit>", "of values").choices(Object.keys(UNITS_NS)).default("ms");
}

/** A number from 0 on. */
export function amount(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !(value >= 0) || value === Number.POSITIVE_INFINITY)
    throw new InvalidArgumentError("It is a number from 0 on.");
  return value;
}

/** As many digits as a histogram with three of them knows at a millisecond, and no more than a nanosecond has. */
export function valueText(valueNs: number, unit: Unit): string {
  return (valueNs / UNITS_NS[unit]).toFixed(unit === "ns" ? 0 : 3);
}

export function nameOf(tag: string): string {
  return tag === "" ? "(no tag)" : tag;
}

export function noTag(paths: readonly string[], patterns: readonly string[]): CodedError {
  const asked = patterns.length === 0 ? "" : ` with the tag ${patterns.join(" or ")}`;
  return new CodedError("hdr_nothing", `There is no interval${asked} in ${paths.join(", ")}.`);
}

/** The first column to the left, numbers to the right. */
export function columns(lines: readonly (readonly string[])[]): string {
  const widths = (lines[0] ?? []).map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  return lines
    .map((line) =>
      line
        .map((cell, i) => padded(cell, i, widths[i] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function padded(cell: string, column: number, width: number): string {
  return column === 0 ? cell.padEnd(width) : cell.padStart(width);
}
