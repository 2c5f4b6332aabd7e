/** The page of latency-by-percentile curves: its data, what it may load, and its script with a stand-in for the browser. */
import { deepEqual, doesNotMatch, equal, match, ok } from "node:assert/strict";
import { test } from "node:test";
import { runInNewContext } from "node:vm";
import { type Histogram, newHistogram } from "../../src/telemetry/hdr/histogram.ts";
import { plotPage } from "../../src/telemetry/hdr/plot.ts";
import { Random } from "../fuzz/random.ts";

const EVIL = "</script><script>alert(1)</script><!--<img src=x onerror='alert(2)'>&\u2028\"";

interface Group {
  readonly name: string;
  readonly unit: string;
  readonly x: readonly number[];
  readonly series: readonly {
    readonly name: string;
    readonly values: readonly (number | null)[];
    readonly count: number;
    readonly max: number;
  }[];
}

function histogramOf(seed: number, values: number, scaleNs: number): Histogram {
  const random = new Random(seed);
  const histogram = newHistogram();
  for (let i = 0; i < values; i++) histogram.recordValue(Math.floor(scaleNs / (1.001 - random.unit())));
  return histogram;
}

const SLOW = histogramOf(1, 20_000, 500_000);
const FAST = histogramOf(2, 500, 2_000);
const PAGE = plotPage({
  title: `Title ${EVIL}`,
  notes: [`Note ${EVIL}`],
  series: [
    { name: "one", group: "slow", histogram: SLOW },
    { name: EVIL, group: "slow", histogram: FAST },
    { name: "alone", group: EVIL, histogram: FAST },
  ],
});

function scripts(page: string): string[] {
  return [...page.matchAll(/<script[^>]*>([\s\S]*?)<\/script>/g)].map(([, text = ""]) => text);
}

function groupsOf(page: string): Group[] {
  return JSON.parse(scripts(page)[0] ?? "") as Group[];
}

test("the page has the percentiles of the histograms, as far as their counts know any", () => {
  const [slow, fast] = groupsOf(PAGE);
  ok(slow && fast);
  deepEqual([slow.name, slow.unit, fast.name, fast.unit], ["slow", "ms", EVIL, "us"]);
  const [one, other] = slow.series;
  deepEqual([one?.name, one?.count, one?.max, other?.name], ["one", 20_000, SLOW.maxValue / 1e6, EVIL]);
  const at = (decade: number) => slow.x.indexOf(decade);
  for (const [decade, percentile] of [
    [0, 0],
    [1, 90],
    [2, 99],
    [3, 99.9],
    [4, 99.99],
  ] as const)
    equal(one?.values[at(decade)], SLOW.getValueAtPercentile(percentile) / 1e6);
  equal(other?.values[at(2)], FAST.getValueAtPercentile(99) / 1e6);
  equal(other?.values[at(3)], null);
  equal(one?.values.at(-1), null);
});

test("the page's table has the same figures without any script", () => {
  ok(PAGE.includes(`<td>${(SLOW.getValueAtPercentile(50) / 1e6).toFixed(3)}</td>`));
  ok(PAGE.includes("<td>20000</td>"));
});

test("the page loads nothing and is not allowed to", () => {
  match(PAGE, /<meta http-equiv="Content-Security-Policy" content="default-src 'none'; /);
  doesNotMatch(PAGE, /<(?:link|img|iframe|object|embed|base)\b/i);
  doesNotMatch(PAGE, /\b(?:src|href)\s*=\s*["'](?!data:)/i);
  doesNotMatch(PAGE, /@import|url\(/i);
  doesNotMatch(scripts(PAGE).join("\n"), /\bfetch\(|XMLHttpRequest|import\(/);
});

test("the licence of uPlot is in the page", () => {
  match(PAGE, /The MIT License[\s\S]*Leon Sorokin/);
});

test("names and titles are data, never markup", () => {
  equal(scripts(PAGE).length, 3);
  equal(PAGE.match(/<script/g)?.length, 3);
  const [data = ""] = scripts(PAGE);
  ok(!data.includes("<"));
  doesNotMatch(PAGE.replace(data, ""), /onerror='|<!--/);
  match(PAGE, /<title>Title &lt;\/script&gt;/);
});

interface Chart {
  readonly options: { series: { label: string }[]; axes: { splits?: () => number[] }[]; scales: { y: unknown } };
  readonly data: unknown;
}

/** Just enough of a browser for the page's own script. */
function drawn(page: string, chosen: string) {
  const charts: Chart[] = [];
  const sections = groupsOf(page).map(() => ({ hidden: false, querySelector: () => ({ clientWidth: 900 }) }));
  const elements: Record<string, unknown> = {
    data: { textContent: scripts(page)[0] },
    linear: { checked: false, addEventListener: () => {} },
    group: { value: chosen, addEventListener: () => {} },
  };
  const document = {
    getElementById: (id: string) => elements[id],
    querySelectorAll: () => sections,
    documentElement: null,
  };
  class uPlot {
    constructor(options: Chart["options"], data: unknown) {
      charts.push({ options, data });
    }
  }
  runInNewContext(scripts(page)[2] ?? "", {
    document,
    uPlot,
    addEventListener: () => {},
    matchMedia: () => ({ addEventListener: () => {} }),
    getComputedStyle: () => ({ getPropertyValue: () => "#000" }),
  });
  return { charts, sections };
}

test("the script draws a chart for each group, with the percentile axis of HdrHistogram", () => {
  const { charts } = drawn(PAGE, "");
  equal(charts.length, 2);
  const [slow] = charts;
  deepEqual(
    [...(slow?.options.series ?? [])].map(({ label }) => label),
    ["percentile", "one", EVIL],
  );
  const axis = slow?.options.axes[0] as { splits: () => number[]; values: (u: null, splits: number[]) => string[] };
  deepEqual([...axis.values(null, axis.splits())], ["0 %", "50 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %"]);
});

test("the latency axis has room for what is drawn, also where that is one value or nothing", () => {
  const [slow] = drawn(PAGE, "").charts;
  ok(slow);
  const { range } = slow.options.scales.y as { range: (u: null, min: number | null, max: number | null) => number[] };
  deepEqual([...range(null, 52, 122)], [50, 200]);
  deepEqual([...range(null, 2, 2)], [1, 3]);
  deepEqual([...range(null, null, null)], [1, 2]);
});

test("a group that is chosen is the only one that is shown", () => {
  const { charts, sections } = drawn(PAGE, "1");
  equal(charts.length, 1);
  deepEqual(
    sections.map(({ hidden }) => hidden),
    [true, false],
  );
});
