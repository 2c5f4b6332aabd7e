/** What is wrong with routes, conditions and capabilities is found, at its place, in words that help. */
import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import { checkText, type Reading } from "../../src/config/load.ts";
import { formatProblems } from "../../src/config/problem.ts";

const BASE = `providers: { demo: { type: demo } }\nkeys: [{ name: web, hash: "sha256:${"1".repeat(64)}", metadata: { tier: gold } }]\n`;

function read(models: string): Reading & { heads: (what: "problems" | "warnings") => readonly string[] } {
  const text = `${BASE}${models}\n`;
  const reading = checkText("/nowhere/f.yaml", text, {});
  const heads = (what: "problems" | "warnings") =>
    formatProblems("f.yaml", text, reading[what])
      .split("\n")
      .filter((line) => line.startsWith("f.yaml:"));
  return { ...reading, heads };
}

function withRoutes(routes: string): string {
  return `models: { m: { provider: demo, routes: ${routes} } }`;
}

test("routes that are right", () => {
  const full =
    "[{ name: a, when: { key: { tier: [gold, b*] }, header: { X-A: 'on', x-b: '*' }, body: { effort: high }, stream: true, tools: true, images: false, response_format: json_schema, prompt_tokens_min: 10, prompt_tokens_max: 32_000 }, targets: [{ provider: demo, context_window: 128_000, supports: [tools, images] }] }]";
  const { heads, config } = read(withRoutes(full));
  deepEqual([heads("problems"), heads("warnings")], [[], []]);
  const [route] = config?.models["m"]?.routes ?? [];
  deepEqual(route?.when, {
    keys: [["tier", ["gold", "b*"]]],
    headers: [
      ["x-a", ["on"]],
      ["x-b", ["*"]],
    ],
    body: [["effort", ["high"]]],
    stream: true,
    has: 1,
    lacks: 2,
    someOf: 8,
    promptTokensMin: 10,
    promptTokensMax: 32_000,
  });
  deepEqual(route?.to.targets[0]?.capability, { contextTokens: 128_000, supports: ["tools", "images"] });
});

test("a model with routes needs no targets of its own, and one without needs them", () => {
  const only = "models: { m: { routes: [{ name: a, when: { stream: true }, provider: demo }] } }";
  deepEqual(read(only).heads("problems"), []);
  deepEqual(read("models: { m: { strategy: weighted } }").heads("problems"), ["f.yaml:3:14: 'provider' is required"]);
});

function problem(name: string, models: string, expected: string): void {
  test(name, () => deepEqual(read(models).heads("problems"), [`f.yaml:3:${expected}`]));
}

problem("a route without a place", withRoutes("[{ name: a, when: { stream: true } }]"), "41: 'provider' is required");
problem("a route without a name", withRoutes("[{ when: { stream: true }, provider: demo }]"), "41: 'name' is required");
problem("a route without a condition", withRoutes("[{ name: a, provider: demo }]"), "41: 'when' is required");
problem(
  "a condition that says nothing",
  withRoutes("[{ name: a, when: {}, provider: demo }]"),
  "58: this needs at least one condition",
);
problem(
  "an unknown provider",
  withRoutes("[{ name: a, when: { stream: true }, targets: [{ provider: demos }] }]"),
  "98: there is no provider 'demos'; did you mean 'demo'?",
);
problem(
  "a field within a field",
  withRoutes("[{ name: a, when: { body: { reasoning: { effort: high } } }, provider: demo }]"),
  "79: expected a value, or a list of values",
);
problem(
  "an unknown condition",
  withRoutes("[{ name: a, when: { steam: true }, provider: demo }]"),
  "60: unknown key 'steam'; did you mean 'stream'?",
);
problem(
  "a size that cannot be",
  withRoutes("[{ name: a, when: { prompt_tokens_min: 10, prompt_tokens_max: 9 }, provider: demo }]"),
  "102: this is below prompt_tokens_min, so it can never hold",
);
problem(
  "a header that is the gateway's",
  withRoutes("[{ name: a, when: { header: { Authorization: x } }, provider: demo }]"),
  "70: conditions cannot see this header: it is the gateway's own",
);
problem(
  "a header twice",
  withRoutes("[{ name: a, when: { header: { X-A: x, x-a: y } }, provider: demo }]"),
  "78: this header is given twice",
);
problem(
  "a field that has a condition of its own",
  withRoutes("[{ name: a, when: { body: { stream: true } }, provider: demo }]"),
  "68: use 'stream' for this",
);
problem(
  "two routes of one name",
  withRoutes(
    "[{ name: a, when: { stream: true }, provider: demo }, { name: a, when: { tools: true }, provider: demo }]",
  ),
  "102: another route has this name",
);
problem(
  "a route that is called like a model",
  "models: { m: { routes: [{ name: a, when: { stream: true }, provider: demo }] }, m/a: { provider: demo } }",
  "33: a model is called 'm/a' already",
);
problem(
  "a route that is never taken",
  withRoutes(
    "[{ name: a, when: { stream: true, tools: true }, provider: demo }, { name: b, when: { tools: true, stream: true }, provider: demo }]",
  ),
  "124: a route before it has the same conditions",
);
problem(
  "an unknown feature",
  "models: { m: { provider: demo, supports: [tool] } }",
  "43: expected one of: tools, images, json_object, json_schema; did you mean 'tools'?",
);
problem(
  "a capability beside targets",
  "models: { m: { context_window: 10, targets: [{ provider: demo }] } }",
  "16: this stands at each of the 'targets'",
);
problem(
  "a window of nothing",
  "models: { m: { provider: demo, context_window: 0 } }",
  "48: expected a whole number from 1 to 1000000000",
);

test("a condition on what no key is said to be is warned of", () => {
  deepEqual(read(withRoutes("[{ name: a, when: { key: { tyer: gold } }, provider: demo }]")).heads("warnings"), [
    "f.yaml:3:67: no key has 'tyer' in its metadata, so this route is never taken; did you mean 'tier'?",
  ]);
});

test("metadata that says what a key has anyway", () => {
  const text = `${BASE.replace("tier: gold", "name: x")}models: { m: { provider: demo } }\n`;
  const { problems } = checkText("/nowhere/f.yaml", text, {});
  deepEqual(
    problems.map(({ message }) => message),
    ["name and team stand at the key itself"],
  );
});
