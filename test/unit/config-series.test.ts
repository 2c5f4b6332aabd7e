/** Numbers of latency histograms: kept over reloads, never given twice, bounded. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { HDR_SERIES_MAX } from "../../src/base/limits.ts";
import { compileSnapshot } from "../../src/config/compile.ts";
import type { ModelConfig } from "../../src/config/model.ts";
import type { Config } from "../../src/config/schema.ts";
import { NO_ALIAS, SERIES_OTHER, SeriesTable } from "../../src/config/series.ts";
import { configOf, modelOf, providerConfig } from "../support/request-path.ts";

function config(models: Record<string, ModelConfig>, passthrough: string | null = "main"): Config {
  const providers = { main: providerConfig(9), second: providerConfig(10) };
  return configOf(providers, "/nowhere", { models, passthrough, series: new Map() });
}

const kept = (provider: string): ModelConfig => modelOf(provider, null);

test("every route with its target has a number, and so has what names no model", () => {
  const table = new SeriesTable();
  const { series } = table.numbered(config({ a: modelOf("main", "A"), "*": kept("second") }));
  deepStrictEqual(
    [...series].map(([alias, number]) => [alias, table.rows[number]]),
    [
      ["a", { route: "a", provider: "main", model: "A" }],
      ["*", { route: "*", provider: "second", model: "*" }],
      [NO_ALIAS, { route: "~passthrough", provider: "main", model: "*" }],
    ],
  );
});

test("each target of a route has a number, and the snapshot has it at that target", () => {
  const targets = [
    { provider: "main", model: "A", weight: 1, priority: 1 },
    { provider: "second", model: "B", weight: 1, priority: 0 },
  ];
  const table = new SeriesTable();
  const numbered = table.numbered(config({ a: { targets, strategy: "priority", attempts: 2 } }, null));
  const choices = compileSnapshot(numbered, 1).routes.get("a")?.choices ?? [];
  deepStrictEqual(
    choices.map(({ target }) => table.rows[target.series]),
    [
      { route: "a", provider: "second", model: "B" },
      { route: "a", provider: "main", model: "A" },
    ],
  );
});

test("a reload keeps the numbers of what stays, and gives new ones to what is new or goes elsewhere", () => {
  const table = new SeriesTable();
  const first = table.numbered(config({ a: kept("main"), b: kept("main"), c: kept("main") })).series;
  const second = table.numbered(config({ c: kept("main"), b: kept("second"), d: kept("main") })).series;
  strictEqual(second.get("c"), first.get("c"));
  strictEqual(second.get(NO_ALIAS), first.get(NO_ALIAS));
  strictEqual(new Set([...first.values(), ...second.values()]).size, 6);
  const third = table.numbered(config({ a: kept("main") })).series;
  strictEqual(third.get("a"), first.get("a"));
});

test("routes beyond the bound share one number, and are counted", () => {
  const table = new SeriesTable();
  const names = Array.from({ length: HDR_SERIES_MAX }, (_, i) => `m${i}`);
  const { series } = table.numbered(config(Object.fromEntries(names.map((name) => [name, kept("main")]))));
  const numbers = [...series.values()];
  strictEqual(table.rows.length, HDR_SERIES_MAX);
  strictEqual(table.beyond, 3);
  strictEqual(numbers.filter((number) => number === SERIES_OTHER).length, 3);
  strictEqual(new Set(numbers).size, HDR_SERIES_MAX - 1);
  table.numbered(config({ m0: kept("main") }, null));
  strictEqual(table.beyond, 0);
});

test("names of objects' own methods, and such that look like ours, are routes like others", () => {
  const table = new SeriesTable();
  const { series } = table.numbered(config({ constructor: kept("main"), "~other": kept("main") }, null));
  deepStrictEqual([...series.values()], [2, 3]);
  deepStrictEqual(
    table.rows.map(({ route }) => route),
    ["~other", "~unrouted", "constructor", "~~other"],
  );
});

test("a target knows its number, and one without is counted with the others", () => {
  const numbered = new SeriesTable().numbered(config({ a: kept("main"), "*": kept("second") }));
  const snapshot = compileSnapshot(numbered, 1);
  const numbers = [snapshot.routes.get("a")?.target, snapshot.anyModel?.target, snapshot.passthrough];
  deepStrictEqual(
    numbers.map((target) => target?.series),
    [2, 3, 4],
  );
  strictEqual(compileSnapshot({ ...numbered, series: new Map() }, 1).passthrough?.series, SERIES_OTHER);
});
