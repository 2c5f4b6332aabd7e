/** The two tables: every bound bounds something, every error can happen and is tested. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ERRORS, type ErrorRow } from "../../src/base/errors.ts";
import { blank } from "./lexer.ts";
import { codeIn, readSource, type SourceFile } from "./tree.ts";

const SRC = codeIn("src");
const LIMITS = "src/base/limits.ts";
const TABLE = "src/base/errors.ts";

function unused(names: readonly string[], files: readonly SourceFile[]): string[] {
  const code = files.map(({ text }) => blank(text).uncommented).join("\n");
  return names.filter((name) => !new RegExp(`\\b${name}\\b`).test(code));
}

/** Rows that no test mentions, neither by key nor by code. */
function untested(rows: Readonly<Record<string, ErrorRow>>, tests: readonly SourceFile[]): string[] {
  const text = tests.map((file) => file.text).join("\n");
  return Object.entries(rows)
    .filter(([key, { code }]) => !new RegExp(`\\b(${key}|${code})\\b`).test(text))
    .map(([key]) => key);
}

test("the rules on tables can fail", () => {
  const commented = [{ path: "x.ts", text: "// FOO_MAX" }];
  assert.deepEqual(unused(["FOO_MAX"], commented), ["FOO_MAX"]);
  assert.deepEqual(untested({ bad: { ...ERRORS.overloaded, code: "bad_code" } }, commented), ["bad"]);
});

test("every bound in limits.ts is used", () => {
  const names = [...readSource(LIMITS).text.matchAll(/^export const (\w+)/gm)].map(([, name = ""]) => name);
  assert.ok(names.length > 30);
  // A bound may be the base of another one in the same file, below its own line.
  const own = { path: LIMITS, text: readSource(LIMITS).text.replace(/^export const \w+/gm, "") };
  assert.deepEqual(unused(names, [...SRC.filter(({ path }) => path !== LIMITS), own]), []);
});

test("every row of the error table is used", () => {
  assert.deepEqual(
    unused(
      Object.keys(ERRORS),
      SRC.filter(({ path }) => path !== TABLE),
    ),
    [],
  );
});

test("every row of the error table is tested", () => {
  assert.deepEqual(
    untested(
      ERRORS,
      codeIn("test").filter(({ path }) => !path.startsWith("test/tidy/")),
    ),
    [],
  );
});

test("the numbers and codes of the error table are unique", () => {
  const rows: readonly ErrorRow[] = Object.values(ERRORS);
  assert.equal(new Set(rows.map(({ number }) => number)).size, rows.length);
  assert.equal(new Set(rows.map(({ code }) => code)).size, rows.length);
});
