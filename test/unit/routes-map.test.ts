/** What workers know of routes together: whose turn it is, and how long answers are. */
import { deepStrictEqual, notStrictEqual, strictEqual } from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { OUTPUT_TOKENS_ASSUMED } from "../../src/base/limits.ts";
import { compileSnapshot, OWN_SLOTS } from "../../src/config/compile.ts";
import { learnAnswers, usualAnswer } from "../../src/pipeline/answer-size.ts";
import { openRoutes, prepareRoutes } from "../../src/shm/routes.ts";
import { directoryOf } from "../support/limits.ts";
import { configOf, providerConfig } from "../support/request-path.ts";
import { routeWith } from "../support/three-targets.ts";

const CHILD = new URL("../support/turns-child.ts", import.meta.url).pathname;
const CHOICES = 150_000;

for (const strategy of ["round_robin", "least_in_flight", "cost", "headroom"] as const) {
  test(`${strategy}: of all workers one has a turn, also of the next generation, and each route has its own`, (context) => {
    const dataDir = directoryOf(context);
    prepareRoutes(dataDir, false);
    const [one, other, apart] = [
      routeWith(dataDir, strategy),
      routeWith(dataDir, strategy),
      routeWith(dataDir, strategy, "apart"),
    ];
    deepStrictEqual([one(), other(), other(), one(), apart(), other()], ["a", "b", "c", "a", "a", "b"]);
    prepareRoutes(dataDir, true);
    deepStrictEqual([routeWith(dataDir, strategy)(), one()], ["c", "a"]);
    prepareRoutes(dataDir, false);
    strictEqual(routeWith(dataDir, strategy)(), "a");
  });
}

test(`three processes with ${CHOICES} turns each: every target has as many as the others`, async (context) => {
  const dataDir = directoryOf(context);
  prepareRoutes(dataDir, false);
  const args = ["--disable-warning=ExperimentalWarning", CHILD, dataDir, String(CHOICES)];
  const all = await Promise.all([0, 1, 2].map(() => promisify(execFile)(process.execPath, args)));
  const told = all.map(({ stdout }) => new Map(JSON.parse(stdout) as [string, number][]));
  const sums = ["a", "b", "c"].map((name) => told.reduce((sum, counts) => sum + (counts.get(name) ?? 0), 0));
  deepStrictEqual(sums, [CHOICES, CHOICES, CHOICES]);
});

test("how long answers are is known to all workers at once, and arms of a model have turns of their own", (context) => {
  const dataDir = directoryOf(context);
  prepareRoutes(dataDir, false);
  const [one, other] = [openRoutes(dataDir), openRoutes(dataDir)];
  learnAnswers(one.at("chat").answers, 1, 40);
  const known = usualAnswer(other.at("chat").answers);
  notStrictEqual(known, OUTPUT_TOKENS_ASSUMED);
  strictEqual(usualAnswer(other.at("else").answers), OUTPUT_TOKENS_ASSUMED);
  const names: string[] = [];
  const stateOfRoute = (name: string) => {
    names.push(name);
    return one.at(name);
  };
  const targets = ["a", "b"].map((model) => ({ provider: "main", model, weight: 1, priority: 0 }));
  const strategy = "round_robin";
  const arm = { count: 1, share: 1, strategy, attempts: 1, retries: true } as const;
  const list = ["x", "y"].map((name, first) => ({ ...arm, name, first }));
  const chat = { targets, strategy, attempts: 1, arms: { list, sticky: "none", header: "", rollback: null } } as const;
  compileSnapshot(configOf({ main: providerConfig(9) }, dataDir, { models: { chat } }), 1, undefined, {
    ...OWN_SLOTS,
    stateOfRoute,
  });
  deepStrictEqual(new Set(names), new Set(["chat", "chat\nx", "chat\ny", ""]));
});
