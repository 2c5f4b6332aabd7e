/** Keys in a file of their own: read with the configuration, checked with it, and added to by `sluice key create`. */
import { deepEqual, equal, match, throws } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { packagedConfig } from "../../src/config/first.ts";
import { hashKey } from "../../src/config/key.ts";
import { loadConfig, readConfig } from "../../src/config/load.ts";
import { ConfigError } from "../../src/config/problem.ts";

const MAIN = join(import.meta.dirname, "../../src/main.ts");
const H1 = `sha256:${"1".repeat(64)}`;
const H2 = `sha256:${"2".repeat(64)}`;
const BASE = "providers: { demo: { type: demo } }\nmodels: { chat: { provider: demo } }\n";

/** A configuration with one key of its own, and its keys file; null: there is none. */
function configured(keysText: string | null): { readonly path: string; readonly keysPath: string } {
  const directory = mkdtempSync(join(tmpdir(), "sluice-"));
  const [path, keysPath] = [join(directory, "sluice.yaml"), join(directory, "keys.yaml")];
  writeFileSync(path, `${BASE}keys_file: keys.yaml\nkeys: [{ name: own, hash: "${H1}" }]\n`);
  if (keysText !== null) writeFileSync(keysPath, keysText);
  return { path, keysPath };
}

function problemsOf(keysText: string | null): readonly string[] {
  const { path, keysPath } = configured(keysText);
  return readConfig(path, {}).problems.map(({ line, message }) => {
    equal(line, 3);
    return message.replace(keysPath, "FILE");
  });
}

function sluice(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const options = { encoding: "utf8", env: { PATH: process.env["PATH"], ...env } } as const;
  return spawnSync(process.execPath, ["--disable-warning=ExperimentalWarning", MAIN, ...args], options);
}

describe("keys_file", () => {
  test("its keys come after those of the configuration", () => {
    const { path } = configured(`keys:\n  - { name: more, hash: "${H2}", models: [chat] }\n`);
    deepEqual(
      loadConfig(path, {}).keys.map(({ name, models }) => [name, models]),
      [
        ["own", null],
        ["more", ["chat"]],
      ],
    );
  });

  test("one without keys is taken", () => {
    const { path } = configured("# none yet\nkeys:\n");
    equal(loadConfig(path, {}).keys.length, 1);
  });

  test("what is wrong with it is said with its own line and column", () => {
    deepEqual(problemsOf(null), ["the file does not exist"]);
    deepEqual(problemsOf("providers: {}\n"), ["FILE:1:1: unknown key 'providers'"]);
    deepEqual(problemsOf("keys:\n\t- a\n"), ["FILE:2:1: tabs cannot indent YAML; use spaces"]);
    deepEqual(problemsOf(`keys:\n  - { name: own, hash: "${H2}" }\n`), ["FILE:2:13: another key has this name"]);
    deepEqual(problemsOf(`keys:\n  - name: b\n    hash: "${H1}"\n`), ["FILE:3:11: another key has this hash"]);
    deepEqual(problemsOf(`keys: [{ name: b, hash: "${H2}", models: [chatt] }]\n`), [
      "FILE:1:109: there is no model 'chatt'",
    ]);
  });

  test("a pasted key is not repeated", () => {
    const { path } = configured("keys: [{ name: b, hash: sk-sluice-hunter2 }]\n");
    throws(
      () => loadConfig(path, {}),
      (error) => error instanceof ConfigError && !error.message.includes("hunter2"),
    );
  });

  test("the package's configuration names one, and has no key of its own", () => {
    const directory = mkdtempSync(join(tmpdir(), "sluice-"));
    const path = join(directory, "sluice.yaml");
    writeFileSync(path, packagedConfig());
    writeFileSync(join(directory, "keys.yaml"), "keys:\n");
    const { keys, dataDir } = loadConfig(path, {});
    deepEqual([keys, dataDir], [[], "/var/lib/sluice"]);
  });
});

describe("key create", () => {
  test("adds to the keys file and leaves the configuration as it is", () => {
    const { path, keysPath } = configured("# made by hand\nkeys:\n");
    const before = readFileSync(path, "utf8");
    const { status, stdout } = sluice(["key", "create", "--name", "team", "-c", path]);
    equal(status, 0);
    match(stdout, /keys\.yaml/);
    equal(readFileSync(path, "utf8"), before);
    match(
      readFileSync(keysPath, "utf8"),
      /^# made by hand\nkeys:\n {2}- \{ name: team, hash: "sha256:[0-9a-f]{64}" \}\n$/,
    );
  });

  test("refuses a name that the configuration has, and leaves no file behind", () => {
    const { path, keysPath } = configured("keys:\n");
    const output = join(path, "../key");
    const { status, stderr } = sluice(["key", "create", "--name", "own", "-c", path, "-o", output]);
    equal(status, 1);
    match(stderr, /another key has this name/);
    equal(readFileSync(keysPath, "utf8"), "keys:\n");
    equal(existsSync(output), false);
  });

  test("--output: the key goes into a new file for its owner, and is not shown", () => {
    const { path } = configured("keys:\n");
    const output = join(path, "../key");
    const args = ["key", "create", "--name", "team", "-c", path, "-o", output];
    const { status, stdout } = sluice(args);
    equal(status, 0);
    const key = readFileSync(output, "utf8").trimEnd();
    equal(stdout.includes(key), false);
    equal(statSync(output).mode & 0o777, 0o600);
    equal(loadConfig(path, {}).keys.at(-1)?.hash, hashKey(key));
    const again = sluice(args);
    equal(again.status, 1);
    match(again.stderr, /exists already/);
    equal(readFileSync(output, "utf8"), `${key}\n`);
  });
});

test("SLUICE_CONFIG names the file where the command line does not", () => {
  const { path } = configured("keys:\n");
  equal(sluice(["check"], { SLUICE_CONFIG: path }).status, 0);
  equal(sluice(["check"]).status, 2);
  equal(sluice(["check", "-c", path]).status, 0);
  equal(sluice(["check", path], { SLUICE_CONFIG: "/nonexistent" }).status, 0);
  equal(sluice(["check", "-c", path], { SLUICE_CONFIG: "/nonexistent" }).status, 0);
});
