/** Names, sizes and forbidden constructs, over the whole tree. Each rule is shown a bad sample first. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type FunctionSize, functionsIn, percentile } from "./functions.ts";
import {
  barrels,
  breachesOf,
  CODE_PATTERNS,
  EXIT,
  FILE_LINES_MAX,
  longFiles,
  MACHINE,
  oddNames,
  TEST_PATTERNS,
  vagueNames,
  withoutOpening,
} from "./style.ts";
import { codeIn, filesIn, type SourceFile } from "./tree.ts";

const SRC = codeIn("src");
const TESTS = codeIn("test");
const ALL = [...SRC, ...TESTS, ...codeIn("native-bench"), ...codeIn("packaging")];
/** A ratchet: lower them when the code allows it, never raise them. Lines of a function's braces and what is between. */
const MEDIAN_MAX = 10;
const P90_MAX = 40;
const LONGEST_MAX = 80;

function sample(path: string, text = ""): SourceFile[] {
  return [{ path, text }];
}

for (const rule of [...CODE_PATTERNS, ...TEST_PATTERNS, EXIT, MACHINE]) {
  test(`the rule "${rule.name}" can fail`, () => {
    assert.equal(breachesOf(rule, sample("x.ts", rule.bad)).length, 1);
  });
}

for (const rule of CODE_PATTERNS) {
  test(`no ${rule.name}`, () => assert.deepEqual(breachesOf(rule, ALL), []));
}

for (const rule of TEST_PATTERNS) {
  test(`no ${rule.name} in tests`, () => assert.deepEqual(breachesOf(rule, TESTS), []));
}

test("only main.ts ends the process", () => {
  const others = SRC.filter(({ path }) => path !== "src/main.ts");
  assert.deepEqual(breachesOf(EXIT, others), []);
});

test("no file names a path or a host of one machine", () => {
  assert.deepEqual(breachesOf(MACHINE, filesIn("")), []);
});

test("no vague names", () => {
  assert.deepEqual(vagueNames(sample("src/http/utils.ts")), ["src/http/utils.ts"]);
  assert.deepEqual(vagueNames(sample("src/common/x.ts")), ["src/common/x.ts"]);
  assert.deepEqual(vagueNames(sample("src/key-manager.ts")), ["src/key-manager.ts"]);
  assert.deepEqual(vagueNames(ALL), []);
});

test("names are in kebab case", () => {
  assert.deepEqual(oddNames(sample("src/base/BadName.ts")), ["src/base/BadName.ts"]);
  assert.deepEqual(oddNames(ALL), []);
});

test("no barrel files", () => {
  const bad = 'export * from "./a.ts";\nexport { b, type C } from "./b.ts";\n';
  assert.deepEqual(barrels(sample("src/x/all.ts", bad)), ["src/x/all.ts"]);
  assert.deepEqual(barrels(ALL), []);
});

test("every file opens with what it is", () => {
  assert.deepEqual(withoutOpening(sample("src/x.ts", "import a from 'a';")), ["src/x.ts"]);
  assert.deepEqual(withoutOpening([...ALL, ...filesIn("scripts")]), []);
});

test(`no file has more than ${FILE_LINES_MAX} lines`, () => {
  assert.equal(longFiles(sample("x.ts", "\n".repeat(FILE_LINES_MAX + 1))).length, 1);
  assert.deepEqual(longFiles([...ALL, ...filesIn("src")]), []);
});

test("functions are found and measured", () => {
  const text = [
    "function a(x: { y: number }): { z: string } {",
    "  if (x.y > 1) {",
    '    return { z: "{" };',
    "  }",
    "  return { z: `}` };",
    "}",
    "const b = (c: string): string => {",
    "  return c.replace(/[{]/, '');",
    "};",
    "class D { e(): void {} }",
  ].join("\n");
  const sizes = functionsIn({ path: "x.ts", text }).map(({ line, lines }) => [line, lines]);
  assert.deepEqual(sizes, [
    [1, 6],
    [7, 3],
    [10, 1],
  ]);
});

test("the rule on long functions can fail", () => {
  const text = `function long() {\n${"  f();\n".repeat(LONGEST_MAX)}}`;
  assert.equal(tooLong(functionsIn({ path: "x.ts", text })).length, 1);
});

function tooLong(sizes: readonly FunctionSize[]): string[] {
  return sizes
    .filter(({ lines }) => lines > LONGEST_MAX)
    .map(({ path, line, lines }) => `${path}:${line}: ${lines} lines`);
}

test("functions are short", (context) => {
  const sizes = SRC.flatMap(functionsIn);
  const [median, p90, longest] = [percentile(sizes, 0.5), percentile(sizes, 0.9), percentile(sizes, 1)];
  context.diagnostic(`${sizes.length} functions: median ${median}, p90 ${p90}, longest ${longest} lines`);
  assert.ok(sizes.length > 100);
  assert.ok(median <= MEDIAN_MAX, `median ${median}`);
  assert.ok(p90 <= P90_MAX, `p90 ${p90}`);
  assert.deepEqual(tooLong(sizes), []);
});
