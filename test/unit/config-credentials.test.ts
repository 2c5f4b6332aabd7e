/** Several credentials of a provider in the file: what is wrong with them is found, and each is fetched. */
import { deepEqual, match } from "node:assert/strict";
import { test } from "node:test";
import { checkText } from "../../src/config/load.ts";
import { formatProblems } from "../../src/config/problem.ts";

const ENV = { ONE: "sk-one", TWO: "sk-two" };
const textOf = (rest: string) => `providers:\n  a: { base_url: "http://h", ${rest} }\n`;

function heads(rest: string, env: NodeJS.ProcessEnv = ENV): readonly string[] {
  const { problems, missing } = checkText("/nowhere/f.yaml", textOf(rest), env);
  return formatProblems("f.yaml", textOf(rest), [...problems, ...missing])
    .split("\n")
    .filter((line) => line.startsWith("f.yaml:"));
}

test("each is fetched from its own place", () => {
  deepEqual(heads("credentials: [{ env: ONE }, { env: TWO }]"), []);
  match(
    heads("credentials: [{ env: ONE }, { env: THREE }]")[0] ?? "",
    /^f\.yaml:2:\d+: the environment variable THREE is not set/,
  );
});

test("what is no list, stands beside 'credential', is empty or given twice", () => {
  const cases: readonly [string, RegExp][] = [
    ["credentials: { env: ONE }", /expected a list$/],
    ["credentials: []", /an empty list is not taken/],
    ["credentials: [ONE]", /expected one of \{ env: NAME \}/],
    ["credential: { env: ONE }, credentials: [{ env: TWO }]", /either this or 'credential'/],
    ["credentials: [{ env: ONE }, { env: TWO }, { env: ONE }]", /in the list already$/],
    [`credentials: [${"{ env: ONE }, ".repeat(17)}]`, /at most 16 of these are taken$/],
    ["credentails: [{ env: ONE }]", /unknown key 'credentails'; did you mean 'credentials'\?$/],
  ];
  for (const [rest, expected] of cases) match(heads(rest).join("\n"), expected, rest);
});
