/** What the strategy of a model needs of other settings is asked for, at its place; what is right means what it says. */
import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import { checkText } from "../../src/config/load.ts";
import { formatProblems } from "../../src/config/problem.ts";

const KEY = `keys: [{ name: web, hash: "sha256:${"1".repeat(64)}" }]\n`;

function checked(model: string, more = "") {
  const targets = "targets: [{ provider: demo, model: m }, { provider: demo, model: n }]";
  const text = `providers: { demo: { type: demo } }\n${KEY}models:\n  chat: { ${targets}, ${model} }\n${more}`;
  const { problems, warnings, config } = checkText("/nowhere/f.yaml", text, {});
  const heads = (found: typeof problems) =>
    formatProblems("f.yaml", text, found)
      .split("\n")
      .filter((line) => line.startsWith("f.yaml:") || line.includes("did you mean"))
      .map((line) => line.replace(/^f.yaml:4:\d+: /, "").trim());
  return { heads: heads(problems), warnings: heads(warnings), model: config?.models["chat"] };
}

function problem(model: string, ...expected: string[]): void {
  test(`${model}: ${expected[0]}`, () => deepEqual(checked(model).heads, expected));
}

for (const [text, hashBy] of [
  ["key", { by: "key", line: "" }],
  ["user", { by: "user", line: "" }],
  ["{ header: X-Session-ID }", { by: "header", line: "\r\nx-session-id: " }],
] as const) {
  test(`hash_by: ${text}`, () => {
    const { heads, warnings, model } = checked(`strategy: hash, hash_by: ${text}`);
    deepEqual([heads, warnings, model?.strategy, model?.hashBy], [[], [], "hash", hashBy]);
  });
}

problem("strategy: hash", "this needs 'hash_by' as well: key, user or { header: NAME }");
problem("hash_by: key", "this is only for 'strategy: hash'");
problem("strategy: hash, hash_by: usr", "expected key, user or { header: NAME }; did you mean 'user'?");
problem("strategy: hash, hash_by: { is: key, header: a }", "expected key, user or { header: NAME }");
problem(
  "strategy: hash, hash_by: { heder: a }",
  "expected key, user or { header: NAME }",
  "unknown key 'heder'; did you mean 'header'?",
);
problem("strategy: hash, hash_by: [key]", "expected key, user or { header: NAME }");
problem("strategy: hash, hash_by: { header: 'a b' }", "this is not a valid header name");
problem(
  "strategy: hash, hash_by: { header: Authorization }",
  "requests cannot go by this header, because it is not passed on",
);

test("cost without a price of a target is told of, and with all of them it is not", () => {
  const warning = "there is no price for 'n', so it comes behind those that have one in 'prices'";
  deepEqual(checked("strategy: cost", "prices: { m: { input: 1, output: 1 } }").warnings, [warning]);
  const both = "prices: { m: { input: 1, output: 1 }, n: { input: 1, output: 1 } }";
  deepEqual(checked("strategy: cost", both).warnings, []);
  deepEqual(checked("strategy: cost", "prices: { chat: { input: 1, output: 1 } }").warnings, []);
});

test("weights that a strategy does not go by are told of", () => {
  const warned = (model: string, key = "") => {
    const hash = "1".repeat(64);
    const providers = "providers: { a: { base_url: 'http://127.0.0.1:1/v1' } }";
    const text = `${providers}\nmodels: { m: ${model} }\nkeys: [{ name: k, hash: "sha256:${hash}"${key} }]\n`;
    const { problems, warnings } = checkText("/nowhere/f.yaml", text, {});
    deepEqual(problems, []);
    return warnings.map(({ message, line, column }) => [line, column, message]);
  };
  const two = "targets: [{ provider: a }, { provider: a, weight: 3 }]";
  const told = (column: number, strategy: string) => [
    [2, column, `'strategy: ${strategy}' does not go by weights; weighted, least_in_flight, hash do`],
  ];
  deepEqual(warned(`{ ${two} }`), told(66, "priority"));
  deepEqual(warned(`{ ${two} }`, ", overrides: [strategy]"), []);
  deepEqual(warned(`{ strategy: least_in_flight, ${two} }`), []);
  const arms = (strategy: string) =>
    `{ strategy: cost, split: { arms: [{ name: x, share: 1, provider: a }, { name: y, share: 1, ${strategy}${two} }] } }`;
  deepEqual(
    [
      warned(arms("strategy: weighted, ")).length,
      warned(arms("")).some((one) => String(one[2]).includes("cost' does")),
    ],
    [1, true],
  );
});
