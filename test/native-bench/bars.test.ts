/** The bars: where their figures come from, when one is met, and when there is no figure. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type BarFinding, barFindings, barRuns, barsText } from "../../native-bench/runner/bars.ts";
import type { Result, ScenarioResult, Turn } from "../../native-bench/runner/result.ts";
import { allScenarios, parseScenario } from "../../native-bench/runner/scenario.ts";
import { scenarioResult } from "../../native-bench/runner/summary.ts";
import { CLOSED, resultOf, turn } from "./results.ts";

/** Direct, nginx and Sluice in one round, what Sluice does changed by `own`. */
function scenario(name: string, own: Partial<Turn> = {}): ScenarioResult {
  const turns = [
    turn({ contestant: "direct", round: 0, p50Us: 100, cpuUs: 2, rate: 1_000 }),
    turn({ contestant: "nginx", round: 0, p50Us: 150, cpuUs: 10, rate: 900 }),
    { ...turn({ contestant: "sluice", round: 0, p50Us: 160, cpuUs: 15, rate: 960 }), ...own },
  ];
  const events = turns.map((each) => ({ ...each, cpuUsPerEvent: (each.cpuUsPerRequest ?? 0) / 25 }));
  const syscalls = { perRequest: 6.5, perEvent: null, how: "counted" };
  const looks = [{ contestant: "sluice", syscalls }];
  return scenarioResult(parseScenario(name, CLOSED), { turns: events, looks, restPssBytes: {}, failed: {} });
}

function small(name: string, p99Us: number): ScenarioResult {
  const latency = { count: 1, p50Us: 1, p90Us: 1, p99Us, p999Us: 2 * p99Us, maxUs: 2 * p99Us };
  return scenario(name, { latency: { total: latency, small: latency } });
}

function found(results: readonly Result[], part: string): BarFinding {
  const all = barFindings(results).filter(({ figure }) => figure.includes(part));
  assert.equal(all.length, 1, part);
  return all[0] as BarFinding;
}

const WHOLE = resultOf([
  scenario("users-1000"),
  scenario("saturation"),
  scenario("streams-1000"),
  scenario("open-3000"),
  scenario("https-saturation", { cpuUsPerRequest: 25 }),
  small("small-1500", 300),
  small("small-1500-large", 900),
]);
const TWO_WORKERS = resultOf([scenario("users-1000", { pssBytes: 150e6 })], 2);

const figures: readonly [part: string, measured: number, verdict: BarFinding["verdict"]][] = [
  ["CPU per request over nginx's, 1,000 connections", 1.5, "met"],
  ["CPU per request over nginx's, 64 connections, saturated, https", 2.5, "missed"],
  ["CPU per event", 1.5, "met"],
  ["throughput", 96, "met"],
  ["added latency, p50", 60 / 50, "met"],
  ["added latency, p99", 60 / 50, "met"],
  ["p99 of small requests", 3, "missed"],
  ["PSS", 150, "met"],
  ["system calls", 6.5, "met"],
];

for (const [part, measured, verdict] of figures) {
  test(`${part}: ${measured} is ${verdict}`, () => {
    const finding = found([WHOLE, TWO_WORKERS], part);
    assert.ok(finding.measured !== null && Math.abs(finding.measured - measured) < 1e-9, `${finding.measured}`);
    assert.equal(finding.verdict, verdict);
  });
}

test("memory is that of two workers, and nothing else is", () => {
  assert.equal(found([WHOLE], "PSS").verdict, "not measured");
  const verdicts = barFindings([TWO_WORKERS]).map(({ verdict }) => verdict);
  assert.equal(verdicts.filter((verdict) => verdict !== "not measured").length, 1);
});

test("refused figures are no figures, and a scenario that did not run has none", () => {
  const { figures, ...refused } = scenario("saturation");
  const result = resultOf([{ ...refused, figures: [], refused: { reason: "late", figures } }]);
  assert.equal(found([result], "system calls").verdict, "not measured");
  assert.equal(found([], "CPU per event").verdict, "not measured");
});

test("where nginx adds nothing, nothing is said about what Sluice adds over it", () => {
  const open = scenario("open-3000");
  const quick = open.figures.map((each) =>
    each.contestant === "nginx" ? { ...each, addedLatency: each.latency } : each,
  );
  const none = quick.map((each) => ({
    ...each,
    addedLatency: { total: { p50Us: 0, p90Us: 0, p99Us: 0, p999Us: 0, maxUs: 0 } },
  }));
  assert.equal(found([resultOf([{ ...open, figures: quick }])], "added latency, p50").verdict, "met");
  assert.equal(found([resultOf([{ ...open, figures: none }])], "added latency, p50").verdict, "not measured");
});

test("the runs have every scenario that a bar needs, and all of them exist", () => {
  const names = new Set(allScenarios().map(({ name }) => name));
  const runs = barRuns();
  assert.deepEqual(
    runs.map(({ workers }) => workers),
    [1, 2],
  );
  for (const { scenarios } of runs) for (const name of scenarios) assert.ok(names.has(name), name);
  assert.equal(new Set(runs[0]?.scenarios).size, runs[0]?.scenarios.length);
});

test("the table has a row per bar, with what measures it", () => {
  const text = barsText(barFindings([WHOLE, TWO_WORKERS]));
  assert.match(
    text,
    /^PSS of all processes, .* at most 200 MB +130 MB +150 MB .* met +npm run bench -- .* --workers 2$/m,
  );
  assert.match(text, /^throughput.* at least 95\.0 % .* 96\.0 % +90\.0 % +met/m);
  assert.match(barsText(barFindings([])), /^system calls.* - +- +not measured/m);
});
