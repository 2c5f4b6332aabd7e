/** Fallbacks and breakers of models in the file: what is wrong is found at its place, and what is right means the right thing. */
import { deepEqual, match } from "node:assert/strict";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { CHAINS } from "../../src/config/chains.ts";
import { compileSnapshot } from "../../src/config/compile.ts";
import { checkText, loadConfig } from "../../src/config/load.ts";
import { formatProblems } from "../../src/config/problem.ts";
import type { Config } from "../../src/config/schema.ts";

const PROVIDERS = 'providers: { a: { base_url: "http://a" }, b: { base_url: "http://b" } }\n';

function heads(model: string, rest = ""): readonly string[] {
  const text = `${PROVIDERS}models: { chat: ${model} }\n${rest}`;
  const { problems } = checkText("/nowhere/f.yaml", text, {});
  return formatProblems("f.yaml", text, problems)
    .split("\n")
    .filter((line) => line.startsWith("f.yaml:"));
}

function configOf(model: string, rest = ""): Config {
  const path = join(mkdtempSync(join(tmpdir(), "sluice-fallbacks-")), "f.yaml");
  writeFileSync(path, `${PROVIDERS}models: { chat: ${model} }\n${rest}`);
  return loadConfig(path, {});
}

test("what is wrong with fallbacks", () => {
  const many = Array.from({ length: 9 }, (_, i) => `{ provider: a, model: m${i} }`).join(", ");
  const more = Array.from({ length: 8 }, (_, i) => `{ provider: b, model: m${i} }`).join(", ");
  const cases: readonly [string, RegExp][] = [
    ["{ provider: a, fallbacks: { default: [{ provider: c }] } }", /^f\.yaml:2:\d+: there is no provider 'c'$/],
    ["{ provider: a, fallbacks: { context: [{ provider: b }] } }", /unknown key 'context'; did you mean 'connect'\?$/],
    [
      "{ provider: a, fallbacks: { contextlength: [{ provider: b }] } }",
      /unknown key 'contextlength'; did you mean 'context_length'\?$/,
    ],
    ["{ provider: a, fallbacks: { default: { provider: b } } }", /expected a list$/],
    ["{ provider: a, fallbacks: { default: [] } }", /an empty list is not taken/],
    ["{ provider: a, fallbacks: { default: [{ provider: b, weight: 2 }] } }", /unknown key 'weight'/],
    [
      `{ provider: a, fallbacks: { default: [${many}], connect: [${more}] } }`,
      /a model has at most 16 targets, these included$/,
    ],
    ["{ provider: a, breaker: no }", /expected one of: on, off/],
  ];
  for (const [model, expected] of cases) match(heads(model).join("\n"), expected, model);
  deepEqual(heads("{ provider: a, breaker: off }", "breaker: off\n"), []);
  match(heads("{ provider: a }", "breaker: of\n").join("\n"), /expected a mapping/);
});

test("each target has one place, whichever lists it is in; the lists are in their order", () => {
  const lists =
    "default: [{ provider: b }, { provider: a, model: m }], timeout: [{ provider: b }], content_filter: [{ provider: a }]";
  const config = configOf(`{ provider: a, fallbacks: { ${lists} } }`);
  const route = compileSnapshot(config, 1).routes.get("chat");
  const chains = Object.fromEntries(
    (route?.fallbacks?.chains ?? []).map((chain, i) => [CHAINS[i], chain.map(({ place }) => place)]),
  );
  const others = {
    connect: [1, 2],
    reset: [1, 2],
    rate_limit: [1, 2],
    server_error: [1, 2],
    credential: [1, 2],
    conflict: [1, 2],
  };
  deepEqual(chains, { ...others, timeout: [1], context_length: [], content_filter: [0] });
  deepEqual(
    route?.fallbacks?.extra.map(({ place, target }) => [place, target.provider.name, target.upstreamModel]),
    [
      [1, "b", null],
      [2, "a", "m"],
    ],
  );
  deepEqual([route?.attempts, route?.retries, route?.repeats, route?.choices.length], [3, false, true, 1]);
});

test("breakers are off where the file says so", () => {
  const two = "targets: [{ provider: a }, { provider: b }]";
  const breakerOf = (model: string, rest = "") => {
    const route = compileSnapshot(configOf(model, rest), 1).routes.get("chat");
    return route?.breaker === null ? "off" : route?.breaker.failures;
  };
  deepEqual(
    [
      breakerOf(`{ ${two} }`),
      breakerOf(`{ ${two}, breaker: off }`),
      breakerOf(`{ ${two} }`, "breaker: off\n"),
      breakerOf(`{ ${two} }`, "breaker: { enabled: false }\n"),
      breakerOf(`{ ${two}, breaker: on }`, "breaker: { failures: 3 }\n"),
    ],
    [5, "off", "off", "off", 3],
  );
});
