/** The configuration, read in a thread of its own: as loadConfig() reads it, and without what that needs in the supervisor. */
import { equal, ok, partialDeepStrictEqual, rejects } from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { loadConfig } from "../../src/config/load.ts";
import { loadConfigApart } from "../../src/config/load-apart.ts";
import { ROOT } from "../support/program.ts";
import { ProgramTree } from "../support/program-tree.ts";

const directory = mkdtempSync(join(tmpdir(), "sluice-apart-"));
after(() => rmSync(directory, { recursive: true }));

function written(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

/** Files of ours that `file` loads when it is loaded, and packages. */
function loadedWith(file: string, seen = new Set<string>()): Set<string> {
  if (seen.has(file)) return seen;
  seen.add(file);
  for (const [, name = ""] of readFileSync(file, "utf8").matchAll(/^(?:import|export) (?!type )[^;]*?"([^"]+)";$/gm)) {
    const path = join(dirname(file), name);
    if (name.startsWith(".") && existsSync(path)) loadedWith(path, seen);
    else seen.add(name);
  }
  return seen;
}

test("it is what loadConfig() says, with the credentials of the environment that is given", async () => {
  const provider = '{ base_url: "https://a.example/v1", credential: { env: A_KEY } }';
  const path = written("good.yaml", `providers:\n  a: ${provider}\nmodels:\n  m: { provider: a }\n`);
  const env = { A_KEY: "sk-a" };
  const { loadedAtMs: _, ...config } = loadConfig(path, env);
  partialDeepStrictEqual(await loadConfigApart(path, env), config);
  await rejects(loadConfigApart(path, {}), { code: "config_invalid", message: /A_KEY/ });
});

test("what is wrong with the file is said with its place", async () => {
  const path = written("bad.yaml", "wrokers: 2\n");
  await rejects(loadConfigApart(path, {}), { code: "config_invalid", message: /bad\.yaml:1:1: .*wrokers/ });
  await rejects(loadConfigApart(join(directory, "none.yaml"), {}), { code: "config_unreadable" });
});

test("nothing is loaded for it from the files of another program", async (t) => {
  const tree = new ProgramTree();
  t.after(() => tree.remove());
  const load = (await import(join(tree.root, "src/config/load-apart.ts"))).loadConfigApart as typeof loadConfigApart;
  const path = written("any.yaml", "providers: {}\n");
  tree.change("package.json", '"version": "', '"version": "9.');
  await rejects(load(path, {}), { code: "program_changed" });
});

test("a gateway that runs holds neither the parser, nor the schema, nor what only other subcommands need", () => {
  const loaded = loadedWith(join(ROOT, "src/main.ts"));
  for (const name of loadedWith(join(ROOT, "src/supervisor/supervisor.ts"))) loaded.add(name);
  ok(loaded.has("fastify") && loaded.has("commander") && loaded.has(join(ROOT, "src/telemetry/drainer.ts")));
  for (const name of ["zod", "yaml", "hdr-histogram-js", "msgpackr", "undici"]) equal(loaded.has(name), false, name);
});
