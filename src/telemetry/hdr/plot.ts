/**
 * Latency by percentile as one HTML page that loads nothing: data, style, script and uPlot are in it. What must hold: names and
 * titles are data and never markup, and the page's own rules forbid it to load anything. Pure, but for the scripts that it reads.
 *
 * The axis of percentiles is the one of HdrHistogram's plots: 90, 99, 99.9 % at equal distances, which is the logarithm of 1/(1-p).
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Curve } from "./curve.ts";

export interface PlotSeries {
  readonly name: string;
  /** Series of one group share a chart. */
  readonly group: string;
  readonly histogram: Curve;
}

export interface Plot {
  readonly title: string;
  readonly series: readonly PlotSeries[];
  /** Lines under the title. */
  readonly notes?: readonly string[];
}

const PER_DECADE = 24;
const DECADES_MAX = 6;
const NS_PER_US = 1_000;
const NS_PER_MS = 1_000_000;
/** Groups with a value above are in milliseconds, others in microseconds. */
const MILLISECONDS_FROM_NS = 1_000_000;
const TABLE_PERCENTILES = [50, 75, 90, 95, 99, 99.9, 99.99, 99.999] as const;

const STYLE = `
:root { color-scheme: light dark; --ink: #1d2530; --paper: #fff; --line: #d5dae1; --quiet: #5c6773; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --paper: #14181d; --line: #3a424d; --quiet: #9aa5b1; } }
@media print { :root { --ink: #000; --paper: #fff; --line: #ccc; --quiet: #444; } .bar { display: none; } section { break-inside: avoid; } }
body { font: 15px/1.45 system-ui, sans-serif; margin: 1.2rem auto; max-width: 72rem; padding: 0 1rem; color: var(--ink); background: var(--paper); }
h1 { font-size: 1.45rem; margin: 0; } h2 { font-size: 1.1rem; margin: 1.8rem 0 .3rem; } p { margin: .1rem 0; color: var(--quiet); }
.bar { position: sticky; top: 0; z-index: 2; background: var(--paper); padding: .5rem 0; border-bottom: 1px solid var(--line); }
.bar label { margin-right: 1.2rem; } select, input { font: inherit; }
.scroll { overflow-x: auto; } table.figures { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .4rem 0; }
.figures th, .figures td { padding: .15rem .7rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
.figures th:first-child { text-align: left; } .figures thead th { color: var(--quiet); font-weight: 600; }
.figures i { display: inline-block; width: .8em; height: .8em; margin-right: .5em; border-radius: 2px; }
.uplot { color: var(--ink); } .u-legend { text-align: left; }
`;
/** Told apart with every kind of colour vision, on white and on black (Okabe and Ito, the two lightest left out). */
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c8c8c"];

export function plotPage({ title, series, notes = [] }: Plot): string {
  const groups = [...Map.groupBy(series, ({ group }) => group)].map(([name, members]) => groupOf(name, members));
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)}</title>
<style>${asset("uplot/dist/uPlot.min.css")}${STYLE}</style>
</head>
<body>
<h1>${escaped(title)}</h1>
${notes.map((note) => `<p>${escaped(note)}</p>`).join("\n")}
<div class="bar">
<label>Show <select id="group"><option value="">all</option>${groups.map(({ name }, i) => `<option value="${i}">${escaped(name)}</option>`).join("")}</select></label>
<label><input type="checkbox" id="linear"> linear latency axis</label>
</div>
${groups.map(sectionOf).join("\n")}
<script type="application/json" id="data">${inScript(JSON.stringify(groups))}</script>
<script>
/*
${asset("uplot/LICENSE")}*/
${asset("uplot/dist/uPlot.iife.min.js")}
</script>
<script>
${readFileSync(new URL("plot-page.js", import.meta.url), "utf8")}
</script>
</body>
</html>
`;
}

/** What the script of the page gets; plot-page.js. */
interface Group {
  readonly name: string;
  readonly unit: "ms" | "us";
  /** log10(1/(1-p)) of each value. */
  readonly x: readonly number[];
  readonly series: readonly GroupSeries[];
}

interface GroupSeries {
  readonly name: string;
  readonly colour: string;
  readonly dashed: boolean;
  /** In the unit of the group; null beyond what the count says anything about. */
  readonly values: readonly (number | null)[];
  readonly count: number;
  readonly mean: number;
  readonly max: number;
  readonly percentiles: readonly (number | null)[];
}

function groupOf(name: string, members: readonly PlotSeries[]): Group {
  const highest = Math.max(...members.map(({ histogram }) => histogram.getValueAtPercentile(99)));
  const unit = highest >= MILLISECONDS_FROM_NS ? "ms" : "us";
  const unitNs = unit === "ms" ? NS_PER_MS : NS_PER_US;
  const count = Math.max(...members.map(({ histogram }) => histogram.totalCount));
  const decades = Math.min(DECADES_MAX, Math.max(1, Math.ceil(Math.log10(Math.max(1, count)))));
  const x = Array.from({ length: decades * PER_DECADE + 1 }, (_, i) => i / PER_DECADE);
  return { name, unit, x, series: members.map((member, i) => seriesOf(member, i, x, unitNs)) };
}

function seriesOf({ name, histogram }: PlotSeries, place: number, x: readonly number[], unitNs: number): GroupSeries {
  const { totalCount: count } = histogram;
  const at = (percentile: number) => histogram.getValueAtPercentile(percentile) / unitNs;
  // One value in N is the last thing that N values know.
  const known = (share: number) => share * count >= 1 - 1e-9;
  return {
    name,
    colour: COLOURS[place % COLOURS.length] ?? "#8c8c8c",
    dashed: place >= COLOURS.length,
    values: x.map((decade) => (known(10 ** -decade) ? at(100 * (1 - 10 ** -decade)) : null)),
    count,
    mean: histogram.mean / unitNs,
    max: histogram.maxValue / unitNs,
    percentiles: TABLE_PERCENTILES.map((percentile) => (known(1 - percentile / 100) ? at(percentile) : null)),
  };
}

function sectionOf({ name, unit, series }: Group, place: number): string {
  const heads = ["", "count", "mean", ...TABLE_PERCENTILES.map((percentile) => `p${percentile}`), "max"];
  return `<section data-group="${place}">
<h2>${escaped(name)}</h2>
<div class="chart"></div>
<div class="scroll"><table class="figures">
<thead><tr>${heads.map((head, i) => `<th>${i === 0 ? (unit === "us" ? "µs" : unit) : head}</th>`).join("")}</tr></thead>
<tbody>
${series.map(rowOf).join("\n")}
</tbody>
</table></div>
</section>`;
}

function rowOf({ name, colour, count, mean, percentiles, max }: GroupSeries): string {
  const cells = [String(count), ...[mean, ...percentiles, max].map((value) => (value === null ? "–" : figure(value)))];
  const label = `<th><i style="background:${colour}"></i>${escaped(name)}</th>`;
  return `<tr>${label}${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`;
}

/** Three digits after the point below 100, as a histogram with three digits knows them. */
function figure(value: number): string {
  return value < 100 ? value.toFixed(3) : value.toFixed(1);
}

const MARKUP: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function escaped(text: string): string {
  return text.replaceAll(/[&<>"']/g, (mark) => MARKUP[mark] ?? mark);
}

/** JSON in a script element: nothing in it can end the element or begin a comment. */
function inScript(json: string): string {
  return json.replaceAll("<", "\\u003c");
}

/** A file of a package. */
function asset(path: string): string {
  return readFileSync(createRequire(import.meta.url).resolve(path), "utf8");
}
