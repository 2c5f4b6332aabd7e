/** The comparison of two runs as text for people and as JSON. Command line; pure. */
import { type Change, MAX, type TagComparison, type Verdict } from "../telemetry/hdr/comparison.ts";
import { columns, nameOf, type Unit, valueText } from "./hdr-options.ts";

const WORDS: Readonly<Record<Verdict, string>> = {
  same: "no",
  worse: "WORSE",
  better: "better",
  few: "too few values",
  unknown: "noise unknown",
  max: "not judged",
  control: "control",
};

export function diffText(tags: readonly TagComparison[], unit: Unit): string {
  return [...tags.map((tag) => tagText(tag, unit)), summaryOf(tags)].join("\n\n");
}

function tagText({ tag, firstCount, secondCount, rounds, changes }: TagComparison, unit: Unit): string {
  const heads = ["", `A ${unit}`, `B ${unit}`, "change", "", "beyond noise"];
  const lines = changes.map((change) => cellsOf(change, unit));
  const title = `${nameOf(tag)}: ${firstCount} values in ${roundsText(rounds[0])}, ${secondCount} in ${roundsText(rounds[1])}`;
  return `${title}\n${columns([heads, ...lines])}`;
}

function roundsText(rounds: number): string {
  return rounds === 1 ? "1 round" : `${rounds} rounds`;
}

function cellsOf({ percentile, firstNs, secondNs, verdict }: Change, unit: Unit): string[] {
  const difference = secondNs - firstNs;
  return [
    percentile === MAX ? "max" : `p${percentile}`,
    valueText(firstNs, unit),
    valueText(secondNs, unit),
    `${difference > 0 ? "+" : ""}${valueText(difference, unit)}`,
    firstNs === 0 ? "" : signedPercent(difference / firstNs),
    WORDS[verdict],
  ];
}

function signedPercent(share: number): string {
  return `${share > 0 ? "+" : ""}${(share * 100).toFixed(1)} %`;
}

function summaryOf(tags: readonly TagComparison[]): string {
  const having = (wanted: Verdict) => tags.filter(({ changes }) => changes.some(({ verdict }) => verdict === wanted));
  const counts = `${tags.length} tags: ${having("worse").length} worse, ${having("better").length} better beyond noise.`;
  const names = having("worse").map(({ tag }) => nameOf(tag));
  return names.length === 0 ? counts : `${counts} Worse: ${names.join(", ")}`;
}

export function diffJson(tags: readonly TagComparison[], exitCode: number): string {
  const entries = tags.map(({ tag, firstCount, secondCount, rounds, changes }) => ({
    tag,
    counts: [firstCount, secondCount],
    rounds,
    percentiles: changes.map(({ percentile, firstNs, secondNs, chance, verdict }) => ({
      percentile,
      a_ns: firstNs,
      b_ns: secondNs,
      change_ns: secondNs - firstNs,
      change: firstNs === 0 ? null : (secondNs - firstNs) / firstNs,
      chance,
      verdict,
    })),
  }));
  return JSON.stringify({ exit_code: exitCode, tags: entries }, null, 2);
}
