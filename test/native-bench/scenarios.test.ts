/** The scenario files: all are valid, and a mistake in one is told with its name and place. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { allScenarios, chosenScenarios, parseScenario, requestMsOf } from "../../native-bench/runner/scenario.ts";

const LEAST = 'title: "one user"\nmode: { kind: closed, connections: 1 }\n';

test("every file is a scenario, and every load that is promised is one of them", () => {
  const names = allScenarios().map(({ name }) => name);
  const users = [50, 150, 300, 500, 1_000].map((count) => `users-${count}`);
  const rates = [1_000, 3_000, 10_000].map((rate) => `open-${rate}`);
  const others = ["saturation", "streams-1000", "body-64k", "body-1m", "idle", "aborts", "churn"];
  for (const name of [...users, ...rates, ...others]) assert.ok(names.includes(name), name);
});

test("the published table is closed loops in front of 60 ms", () => {
  for (const { name, mock, mode } of allScenarios().filter((scenario) => scenario.name.startsWith("users-"))) {
    assert.equal(mock.latencyMs, 60);
    assert.deepEqual(mode, { kind: "closed", connections: Number(name.slice("users-".length)) });
  }
});

test("what a file leaves out is a small body, no stream, a provider that answers at once", () => {
  const scenario = parseScenario("least", LEAST);
  assert.deepEqual(scenario.requests, [{ weight: 1, bodyBytes: 300, stream: false }]);
  assert.equal(requestMsOf(scenario), 0);
  assert.equal(scenario.short, false);
});

const mistakes: readonly [what: string, text: string, said: RegExp][] = [
  ["an unknown key", `${LEAST}conections: 5\n`, /scenario wrong: [\s\S]*conections/],
  ["an unknown key inside", `${LEAST}mock: { latency: 60 }\n`, /latency[\s\S]*mock/],
  ["a load of no kind", 'title: "x"\nmode: { kind: endless }\n', /mode/],
  ["a key of another kind", 'title: "x"\nmode: { kind: closed, connections: 1, ratePerSecond: 1 }\n', /ratePerSecond/],
  ["too many connections", 'title: "x"\nmode: { kind: closed, connections: 1000000 }\n', /20000/],
  ["a body that is too small", `${LEAST}requests: [{ bodyBytes: 10 }]\n`, /bodyBytes/],
  ["a request with a metric's name", `${LEAST}requests: [{ name: total }]\n`, /what a metric is called[\s\S]*name/],
  ["a request with an odd name", `${LEAST}requests: [{ name: "a b" }]\n`, /name/],
  ["a provider of no kind", `${LEAST}upstream: ftp\n`, /upstream/],
  ["nothing", "", /scenario wrong/],
];

for (const [what, text, said] of mistakes) {
  test(`${what} is refused`, () => {
    assert.throws(() => parseScenario("wrong", text), said);
  });
}

test("without names the short set runs, with --full all, with names those in that order", () => {
  const short = chosenScenarios([], false);
  assert.ok(short.length > 0 && short.every((scenario) => scenario.short));
  assert.equal(chosenScenarios([], true).length, allScenarios().length);
  const named = chosenScenarios(["users-50", "churn"], false).map(({ name }) => name);
  assert.deepEqual(named, ["users-50", "churn"]);
  assert.throws(() => chosenScenarios(["users-5"], false), /no scenario users-5; there are [\s\S]*users-50/);
});
