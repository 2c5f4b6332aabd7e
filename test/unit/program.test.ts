/** Which program is on disk: any change is another one, and nothing of another one is used. */
import { doesNotThrow, match, notStrictEqual, strictEqual, throws } from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { PROGRAM, programOnDisk, requireSameProgram } from "../../src/base/program.ts";
import { ProgramTree } from "../support/program-tree.ts";

test("a changed, a missing and another file make another program; the same bytes make the same one", async () => {
  const tree = new ProgramTree();
  const file = join(tree.root, "src/base/program.ts");
  const { programOnDisk: looked } = (await import(file)) as { programOnDisk: typeof programOnDisk };
  const first = looked();
  match(first, /^[0-9a-f]{64}$/);
  strictEqual(looked(), first);
  tree.change("package.json", '"version": "', '"version": "9.');
  const changed = looked();
  tree.change("package.json", '"version": "9.', '"version": "');
  strictEqual(looked(), first);
  writeFileSync(join(tree.root, "src/another.ts"), "");
  const added = looked();
  rmSync(join(tree.root, "src/another.ts"));
  // As an upgrade leaves its unfinished files.
  writeFileSync(join(tree.root, "src/main.ts.dpkg-new"), "");
  strictEqual(looked(), first);
  rmSync(join(tree.root, "src/main.ts"));
  const lacking = looked();
  for (const other of [changed, added, lacking]) notStrictEqual(other, first);
  rmSync(join(tree.root, "src"), { recursive: true });
  strictEqual(looked(), "");
  tree.remove();
});

test("a pool thread of another program than its process refuses to work", () => {
  strictEqual(programOnDisk(), PROGRAM);
  doesNotThrow(() => requireSameProgram({ program: PROGRAM }));
  doesNotThrow(() => requireSameProgram());
  throws(() => requireSameProgram({ program: "another" }), { code: "program_changed" });
});
