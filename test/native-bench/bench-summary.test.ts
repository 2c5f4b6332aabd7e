/** The arithmetic of a result: medians over rounds, what is added, ratios, and what is refused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cpuChanges } from "../../native-bench/runner/against.ts";
import { percentilesOf } from "../../native-bench/runner/percentiles.ts";
import { reportOf, scenarioText } from "../../native-bench/runner/report.ts";
import type { Result, Turn } from "../../native-bench/runner/result.ts";
import { parseScenario } from "../../native-bench/runner/scenario.ts";
import {
  figuresOf,
  generatorLagMs,
  generatorOverNginx,
  refusal,
  scenarioResult,
} from "../../native-bench/runner/summary.ts";
import { newHistogram } from "../../src/telemetry/hdr/histogram.ts";
import { CLOSED, resultOf, turn } from "./results.ts";

const NONE = { looks: [], restPssBytes: {} };

/** Direct, nginx and Sluice, three rounds; the second is slow for all of them. */
const TURNS = [
  turn({ contestant: "direct", round: 0, p50Us: 100, cpuUs: 2 }),
  turn({ contestant: "nginx", round: 0, p50Us: 150, cpuUs: 10, rate: 200 }),
  turn({ contestant: "sluice", round: 0, p50Us: 300, cpuUs: 30, rate: 100 }),
  turn({ contestant: "sluice", round: 1, p50Us: 1_300, cpuUs: 300, rate: 10 }),
  turn({ contestant: "nginx", round: 1, p50Us: 1_150, cpuUs: 100, rate: 20 }),
  turn({ contestant: "direct", round: 1, p50Us: 1_100, cpuUs: 20 }),
  turn({ contestant: "direct", round: 2, p50Us: 110, cpuUs: 2 }),
  turn({ contestant: "nginx", round: 2, p50Us: 162, cpuUs: 10, rate: 200 }),
  turn({ contestant: "sluice", round: 2, p50Us: 320, cpuUs: 31, rate: 90 }),
];

function figure(turns: readonly Turn[], contestant: string) {
  const found = figuresOf({ turns, ...NONE }).find((each) => each.contestant === contestant);
  if (found === undefined) throw new Error(`no figure of ${contestant}`);
  return found;
}

test("figures are medians over the rounds", () => {
  const { rounds, cpuUsPerRequest, latency, requestsPerSecond, requests } = figure(TURNS, "sluice");
  assert.deepEqual(
    { rounds, cpuUsPerRequest, requestsPerSecond, requests },
    { rounds: 3, cpuUsPerRequest: 31, requestsPerSecond: 90, requests: 300 },
  );
  assert.deepEqual(latency["total"], { p50Us: 320, p90Us: 330, p99Us: 340, p999Us: 350, maxUs: 360 });
});

test("added latency is the median of the differences to direct within a round, so that a slow round counts as little as any", () => {
  assert.deepEqual(figure(TURNS, "sluice").addedLatency["total"], {
    p50Us: 200,
    p90Us: 200,
    p99Us: 200,
    p999Us: 200,
    maxUs: 200,
  });
  assert.equal(figure(TURNS, "nginx").addedLatency["total"]?.p50Us, 50);
  assert.equal(figure(TURNS, "direct").addedLatency["total"]?.p50Us, 0);
});

test("ratios over nginx are medians of the ratios within a round", () => {
  const { cpuOverNginx, throughputOverNginx, throughputOverDirect, pssBytesUnderLoad } = figure(TURNS, "sluice");
  assert.equal(cpuOverNginx, 3);
  assert.equal(throughputOverNginx, 0.5);
  assert.equal(throughputOverDirect, 0.9);
  assert.equal(pssBytesUnderLoad, 31_000);
  const without = figure(
    TURNS.filter(({ contestant }) => contestant !== "nginx"),
    "sluice",
  );
  assert.equal(without.cpuOverNginx, null);
  assert.equal(without.throughputOverNginx, null);
});

test("CPU time per event over nginx is there where there are events", () => {
  const events = TURNS.map((each) => ({ ...each, cpuUsPerEvent: (each.cpuUsPerRequest ?? 0) / 10 }));
  assert.equal(figure(events, "sluice").cpuPerEventOverNginx, 3);
  assert.equal(figure(TURNS, "sluice").cpuPerEventOverNginx, null);
});

test("requests with a name have a row of latency, and the first byte has one for streams only", () => {
  const scenario = parseScenario("s", CLOSED);
  const latency = { count: 1, p50Us: 7_000, p90Us: 7_000, p99Us: 7_000, p999Us: 7_000, maxUs: 9_000 };
  const named = TURNS.map((each) => ({ ...each, latency: { ...each.latency, ttft: latency, small: latency } }));
  const text = scenarioText(scenarioResult(scenario, { turns: named, ...NONE, failed: {} }));
  assert.match(text, /^ {2}small +7\.00 +7\.00 +7\.00 +7\.00 +9\.00 +0\.00/m);
  assert.doesNotMatch(text, /first byte/);
  const streams = named.map((each) => ({ ...each, cpuUsPerEvent: 1 }));
  assert.match(scenarioText(scenarioResult(scenario, { turns: streams, ...NONE, failed: {} })), /^ {2}first byte/m);
});

/** Two of each, as in LIMITS_RACE; `cost`: of limits, over the CPU time without them. */
function limitsTurns(cost: number, voided?: string): Turn[] {
  const own = { round: 0, p50Us: 1 };
  return [
    turn({ ...own, contestant: "sluice", cpuUs: 10 }),
    turn({ ...own, contestant: "sluice-2", cpuUs: 30 }),
    turn({ ...own, contestant: "sluice-limited", cpuUs: 10 * cost, ...(voided === undefined ? {} : { voided }) }),
    turn({ ...own, contestant: "sluice-limited-2", cpuUs: 30 * cost }),
  ];
}

test("what limits cost is told of each scenario, and of all of them by their geometric mean", () => {
  const scenario = (turns: Turn[]) => scenarioResult(parseScenario("s", CLOSED), { turns, ...NONE, failed: {} });
  const of = (...scenarios: Turn[][]) => reportOf(resultOf(scenarios.map(scenario)));
  const both = of(limitsTurns(1), limitsTurns(1.21), TURNS);
  assert.match(both, /ten limits: CPU per request 1\.210x of that without limits/);
  assert.match(both, /ten limits, 2 scenarios: 1\.100x of the CPU per request/);
  assert.doesNotMatch(of(limitsTurns(1.21), limitsTurns(1, "noise")), /ten limits, /);
  assert.doesNotMatch(of(TURNS), /ten limits/);
});

test("a void turn counts for nothing, and its round has no pair", () => {
  const turns = TURNS.map((each) =>
    each.contestant === "direct" && each.round === 0 ? { ...each, voided: "lost" } : each,
  );
  const { rounds, addedLatency } = figure(turns, "sluice");
  assert.equal(rounds, 3);
  assert.equal(addedLatency["total"]?.p50Us, (200 + 210) / 2);
  assert.equal(figure(turns, "direct").rounds, 2);
});

test("errors are summed up by reason, and those that never came are not named", () => {
  const bad = turn({ contestant: "sluice", round: 0, p50Us: 1, cpuUs: 1, wrong: { status: 3, timeout: 1 } });
  const worse = turn({ contestant: "sluice", round: 1, p50Us: 1, cpuUs: 1, wrong: { status: 2 } });
  assert.deepEqual(figure([bad, worse], "sluice").errors, { status: 5, timeout: 1 });
});

test("a generator that takes more than half of nginx's CPU time refuses its figures", () => {
  const turns = (generatorUs: number) =>
    TURNS.map((each) => (each.contestant === "nginx" ? { ...each, generatorCpuUsPerRequest: generatorUs } : each));
  assert.equal(generatorOverNginx(turns(5)), 0.5);
  assert.equal(refusal(generatorOverNginx(turns(5)), null), null);
  assert.match(
    refusal(generatorOverNginx(turns(6)), null) ?? "",
    /60 % of nginx's CPU time per request; more than 50 %/,
  );
});

test("refused figures are kept where nobody takes them for figures", () => {
  const scenario = parseScenario("s", 'title: "s"\nmode: { kind: open, ratePerSecond: 1, connectionsMax: 1 }');
  const late = TURNS.map((each) => ({ ...each, load: { ...each.load, lagMaxNs: 80e6 } }));
  const refused = scenarioResult(scenario, { turns: late, ...NONE, failed: {} });
  assert.deepEqual(refused.figures, []);
  assert.equal(refused.refused?.figures.length, 3);
  assert.match(scenarioText(refused), /^REFUSED, not to be quoted: the load generator sent requests up to 80 ms late/m);
  const sound = scenarioResult(scenario, { turns: TURNS, ...NONE, failed: { ferro: "it ended" } });
  assert.equal(sound.figures.length, 3);
  assert.equal(sound.refused, null);
  assert.match(scenarioText(sound), /^ferro FAILED: it ended$/m);
});

/** Sluice at so many times nginx's CPU time, round by round. */
function resultWith(ratios: readonly number[]): Result {
  const turns = ratios.flatMap((ratio, round) => [
    turn({ contestant: "nginx", round, p50Us: 1, cpuUs: 10 }),
    turn({ contestant: "sluice", round, p50Us: 1, cpuUs: 10 * ratio }),
  ]);
  return resultOf([scenarioResult(parseScenario("s", CLOSED), { turns, ...NONE, failed: {} })]);
}

const cpuVerdicts: readonly [what: string, before: readonly number[], after: readonly number[], verdict: string][] = [
  ["the same", [3, 3.1, 3.05], [3, 3.1, 3.05], "same"],
  ["a little more", [3, 3.1, 3.05], [3.2, 3.25, 3.15], "same"],
  ["twice as much", [3, 3.1, 3.05], [6, 6.3, 6.1], "worse"],
  ["half as much", [6, 6.3, 6.1], [3, 3.1, 3.05], "better"],
  ["twice as much in one round of three", [3, 3.1, 3.05], [3, 6.2, 3.05], "same"],
  ["one round", [3], [6], "unknown"],
];

for (const [what, before, after, verdict] of cpuVerdicts) {
  test(`${what} of CPU time over nginx: ${verdict}`, () => {
    const [change] = cpuChanges(resultWith(before), resultWith(after));
    assert.equal(change?.verdict, verdict);
  });
}

test("without nginx the generator cannot be checked, which refuses nothing", () => {
  const share = generatorOverNginx(TURNS.filter(({ contestant }) => contestant !== "nginx"));
  assert.equal(share, null);
  assert.equal(refusal(share, null), null);
});

test("a generator that sends late refuses the figures of an open loop", () => {
  const late = TURNS.map((each) => ({ ...each, load: { ...each.load, lagMaxNs: 80e6 } }));
  assert.equal(generatorLagMs("open", late), 80);
  assert.match(refusal(0.3, generatorLagMs("open", late)) ?? "", /up to 80 ms late/);
  assert.equal(refusal(0.3, generatorLagMs("open", TURNS)), null);
  assert.equal(generatorLagMs("closed", late), null);
});

test("percentiles of a histogram of nanoseconds are in microseconds", () => {
  const histogram = newHistogram();
  for (let us = 1; us <= 1_000; us += 1) histogram.recordValue(us * 1_000);
  const { p50Us, p90Us, p99Us, p999Us, maxUs } = percentilesOf(histogram);
  for (const [is, wanted] of [
    [p50Us, 500],
    [p90Us, 900],
    [p99Us, 990],
    [p999Us, 999],
    [maxUs, 1_000],
  ] as const) {
    assert.ok(Math.abs(is - wanted) <= wanted / 1_000, `${is} for ${wanted}`);
  }
});
