/** Imports point down only, and every package has one owner. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { importBreaches, importsOf, OWNERS, packageBreaches, UNIMPORTED } from "./architecture.ts";
import { codeIn, readSource, type SourceFile } from "./tree.ts";

const SRC = codeIn("src");

test("a folder of src/ imports only what is below it", () => {
  assert.deepEqual(importBreaches(SRC), []);
});

test("a package is imported by its owner only", () => {
  assert.deepEqual(packageBreaches(SRC), []);
});

test("every dependency is used, and every import is a dependency", () => {
  const { dependencies } = JSON.parse(readSource("package.json").text) as { dependencies: Record<string, string> };
  const imported = new Set(SRC.flatMap(importsOf).filter((name) => !name.endsWith(".ts") && !name.startsWith("node:")));
  const named = Object.keys(dependencies);
  assert.deepEqual(
    [...imported].filter((name) => !named.includes(name)),
    [],
  );
  assert.deepEqual(
    named.filter((name) => !imported.has(name) && !(name in UNIMPORTED)),
    [],
  );
});

test("ARCHITECTURE.md names every dependency", () => {
  const { dependencies } = JSON.parse(readSource("package.json").text) as { dependencies: Record<string, string> };
  const { text } = readSource("ARCHITECTURE.md");
  assert.deepEqual(
    Object.keys(dependencies).filter((name) => !text.includes(name)),
    [],
  );
});

const BAD_IMPORTS: readonly SourceFile[] = [
  { path: "src/http/edge.ts", text: 'import { forward } from "../pipeline/forward.ts";' },
  { path: "src/base/log.ts", text: 'import {\n  a,\n} from "../config/load.ts";' },
  { path: "src/providers/x.ts", text: 'const x = await import("../upstream/origins.ts");' },
  { path: "src/shm/x.ts", text: 'export { y } from "../telemetry/drain.ts";' },
  { path: "src/gateway/worker.ts", text: 'import "../control/admin.ts";' },
  { path: "src/misc/x.ts", text: "" },
];

for (const bad of BAD_IMPORTS) {
  test(`the rule on imports fails for ${bad.path}`, () => {
    assert.equal(importBreaches([bad]).length, 1);
  });
}

test("the rule on imports lets through what is allowed, and looks at no comment", () => {
  const good =
    'import type { X } from "../pipeline/exchange.ts";\n// import "../control/admin.ts"\nimport { y } from "./y.ts";';
  assert.deepEqual(importBreaches([{ path: "src/http/edge.ts", text: good }]), []);
});

test("the rule on packages fails for every package outside of its owner", () => {
  for (const name of [...Object.keys(OWNERS), "left-pad", "@scope/name/deep"]) {
    const bad = { path: "src/native/native.ts", text: `import { x } from "${name}";` };
    assert.equal(packageBreaches([bad]).length, 1, name);
  }
});
