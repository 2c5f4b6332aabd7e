/** Every configuration in examples/ is complete, taken by `sluice check` without a warning, installed by the package, and named in the README. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { parse } from "yaml";
import { EXAMPLES } from "../../packaging/payload.ts";
import { Program, ROOT } from "../support/program.ts";
import { Configured } from "./configured.ts";

const DIRECTORY = join(ROOT, "examples");
const README = readFileSync(join(ROOT, "README.md"), "utf8");
const names = readdirSync(DIRECTORY).filter((name) => name.endsWith(".yaml"));
const configured = new Configured();
after(() => configured.remove());

for (const name of names) {
  test(`examples/${name} is taken by sluice check, without a warning`, async () => {
    const text = configured.write(readFileSync(join(DIRECTORY, name), "utf8").replace("/var/lib/sluice", "data"));
    const program = new Program([join(ROOT, "src/main.ts"), "check", configured.path], configured.env(text));
    const code = await program.end();
    deepStrictEqual([code, program.stderr()], [0, ""]);
    ok(program.stdout().startsWith(`${configured.path} is valid.`), program.stdout());
    const sections = Object.keys(parse(text) as object);
    for (const section of ["listen", "data_dir", "providers", "models", "keys"])
      ok(sections.includes(section), section);
  });
}

test("the package has all examples, and the README names them", () => {
  deepStrictEqual([...EXAMPLES].sort(), readdirSync(DIRECTORY).sort());
  strictEqual(names.length > 0, true);
  for (const name of names) ok(README.includes(`](examples/${name})`), name);
});
