/** The `sluice` command as people and scripts see it: output, exit codes, and files it edits. */
import { deepEqual, doesNotMatch, equal, match, ok } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, test } from "node:test";
import { hashKey } from "../../src/config/key.ts";
import { insertKeyEntry } from "../../src/config/key-entry.ts";
import { loadConfig } from "../../src/config/load.ts";

const MAIN = join(import.meta.dirname, "../../src/main.ts");
const H1 = `sha256:${"1".repeat(64)}`;
const DEMO = "providers: { demo: { type: demo } }\nmodels: { chat: { provider: demo } }\n";
const ENTRY = { name: "new", hash: "2".repeat(64), expires: null, models: null };
const LINE = `{ name: new, hash: "sha256:${"2".repeat(64)}" }`;

function sluice(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const options = { encoding: "utf8", env: { PATH: process.env["PATH"], ...env } } as const;
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ["--disable-warning=ExperimentalWarning", MAIN, ...args],
    options,
  );
  return { status, stdout, stderr };
}

function file(text: string): string {
  const path = join(mkdtempSync(join(tmpdir(), "sluice-")), "sluice.yaml");
  writeFileSync(path, text);
  return path;
}

describe("the command line", () => {
  test("--version is that of the package", () => {
    const { version } = JSON.parse(readFileSync(join(import.meta.dirname, "../../package.json"), "utf8"));
    deepEqual(sluice(["--version"]), { status: 0, stdout: `${version}\n`, stderr: "" });
  });

  test("--help lists the subcommands", () => {
    const { status, stdout } = sluice(["--help"]);
    equal(status, 0);
    for (const name of ["serve", "check", "key", "usage"]) match(stdout, new RegExp(`^  ${name}`, "m"));
  });

  test("wrong usage is exit code 2 and says what to do", () => {
    for (const args of [
      [],
      ["bogus"],
      ["check"],
      ["check", "a", "b"],
      ["check", "a", "-c", "b"],
      ["key", "create"],
      ["key", "create", "--name", ""],
      ["key", "create", "--name", "a", "--expires", "soon"],
      ["key", "create", "--name", "a", "--expires", "2020-01-01"],
      ["--bogus"],
    ]) {
      const { status, stderr, stdout } = sluice(args);
      equal(status, 2, args.join(" "));
      equal(stdout, "");
      match(stderr, /--help/);
    }
  });
});

describe("check", () => {
  test("shows what a valid file means, and sources of credentials only", () => {
    const path = file(`listen: "[::]:81"
providers:
  demo: { type: demo }
  openai: { base_url: "https://h/v1?key=hunter2", credential: { env: A_KEY }, headers: { x-a: hunter2 } }
  far: { base_url: "https://h/v1", http2: true, proxy: "http://u@p:3128", proxy_password: { env: WORD } }
models: { chat: { provider: openai, model: gpt }, "*": { provider: demo } }
keys:
  - { name: a, hash: "${H1}", enabled: false }
  - { name: b, hash: "sha256:${"3".repeat(64)}", expires: 2001-01-01, models: [chat] }
rate_limits:
  - { scope: [key, model], requests: 10/s, burst: 20, bytes_in_flight: 2MiB }
  - { name: day, models: [chat], tokens: 5_000/day, algorithm: fixed_window, mode: observe }
`);
    const { status, stdout, stderr } = sluice(["check", path], { A_KEY: "hunter2", WORD: "hunter2" });
    deepEqual([status, stderr], [0, ""]);
    for (const line of [
      /^listen +\[::\]:81$/m,
      /demo +built in +native$/m,
      /far +https:\/\/h\/v1 +undici, HTTP\/2, through http:\/\/p:3128 +no credential$/m,
      /openai +https:\/\/h\/v1\?\.\.\. +native +credential from the environment variable A_KEY$/m,
      /chat +-> openai +gpt$/m,
      /a +disabled +all models$/m,
      /b +expired 2001-01-01T00:00:00.000Z +chat$/m,
      /key\+model +requests +10 per 1s, burst 20 +each key and model$/m,
      /key\+model +bytes_in_flight +2MiB at a time +each key and model$/m,
      /day +tokens +5000 per 24h, in windows +all together +only chat \(observed only\)$/m,
    ])
      match(stdout, line);
    doesNotMatch(stdout, /hunter2|Basic|sha256/);
  });

  test("shows several credentials by their places, checks without their query, and where failures lead", () => {
    const path = file(`providers:
  a: { base_url: "https://h/v1", credentials: [{ env: ONE }, { env: TWO }], health_check: { path: "/up?key=hunter2", interval: 5s } }
  b: { base_url: "https://b/v1" }
models:
  chat:
    provider: a
    fallbacks: { default: [{ provider: b }], context_length: [{ provider: a, model: long }] }
keys: [{ name: a, hash: "${H1}" }]
`);
    const { status, stdout, stderr } = sluice(["check", path], { ONE: "hunter2", TWO: "hunter3" });
    deepEqual([status, stderr], [0, ""]);
    for (const line of [
      /a +https:\/\/h\/v1 +native +2 credentials in turn, from the environment variable ONE, the environment variable TWO; checked every 5s: \/up\?\.\.\.$/m,
      /chat +-> a +chat +up to 3 tries$/m,
      /^ +-> a +long +fallback: context_length$/m,
      /^ +-> b +chat +fallback: default$/m,
    ])
      match(stdout, line);
    doesNotMatch(stdout, /hunter/);
  });

  test("shows budgets, and warns of models that one of money does not count", () => {
    const path = file(`providers: { demo: { type: demo } }
models: { chat: { provider: demo } }
keys: [{ name: a, hash: "${H1}" }]
budgets:
  - { scope: [key], usd: 12.5, tokens: 1_000, per: month, time_zone: Europe/Berlin }
  - { name: ever, usd: 1, per: total, models: [chat], mode: observe, alert_at: [] }
`);
    const { stdout, stderr } = sluice(["check", path]);
    match(stderr, /'chat' without a price: this budget does not count what is not in 'prices'/);
    const rows = /\nbudgets\n(.*)\n/s.exec(stdout)?.[1] ?? "";
    deepEqual(
      rows.split("\n").map((row) => row.trim().split(/ {2,}/)),
      [
        ["key", "money", "12.5 USD per month (Europe/Berlin), alerts at 80 %, 100 %", "each key"],
        ["key", "tokens", "1000 per month (Europe/Berlin), alerts at 80 %, 100 %", "each key"],
        ["ever", "money", "1 USD in total", "all together", "only chat (observed only)"],
      ],
    );
  });

  test("shows the targets of a model in the order of their priority, how one is chosen, and how many tries there are", () => {
    const path = file(`providers: { demo: { type: demo } }
models:
  chat:
    strategy: weighted
    attempts: 5
    targets: [{ provider: demo, model: late, priority: 1 }, { provider: demo, weight: 3 }]
  again: { provider: demo, attempts: 2 }
keys: [{ name: a, hash: "${H1}" }]
`);
    const { stdout, stderr } = sluice(["check", path]);
    deepEqual(stderr, "");
    const rows = /\nmodels\n(.*?)\n[^ ]/s.exec(stdout)?.[1] ?? "";
    deepEqual(
      rows.split("\n").map((row) => row.trim().split(/ {2,}/)),
      [
        ["chat", "-> demo", "chat", "weighted, up to 5 tries; priority 0, weight 3"],
        ["-> demo", "late", "priority 1, weight 1"],
        ["again", "-> demo", "again", "up to 2 tries"],
      ],
    );
  });

  test("problems are exit code 1, on standard error, without a stack trace", () => {
    const path = file(`${DEMO}lissten: 1\n`);
    const { status, stdout, stderr } = sluice(["check", path]);
    deepEqual([status, stdout], [1, ""]);
    equal(stderr, `${path}:3:1: unknown key 'lissten'; did you mean 'listen'?\n${path} cannot be used: 1 problem.\n`);
  });

  test("a credential that only the service can see is a warning", () => {
    const { status, stderr } = sluice([
      "check",
      file('providers: { a: { base_url: "http://h", credential: { env: A_KEY } } }\n'),
    ]);
    equal(status, 0);
    match(stderr, /A_KEY is not set/);
  });

  test("what is probably not meant is a warning", () => {
    const path = file("providers: { demo: { type: demo } }\nmodels: { chat: { provider: demo } }\n");
    const { status, stdout, stderr } = sluice(["check", path]);
    equal(status, 0);
    match(stderr, /:1:1: there is no key, so every request is refused/);
    match(stdout, /is valid/);
  });

  test("records of a newer release keep the file from being used, and none do not", () => {
    const dataDir = mkdtempSync(join(tmpdir(), "sluice-check-"));
    const path = file(`${DEMO}data_dir: ${dataDir}\n`);
    equal(sluice(["check", path]).status, 0);
    const database = new DatabaseSync(join(dataDir, "usage.db"));
    database.exec("PRAGMA user_version = 99");
    database.close();
    const { status, stdout, stderr } = sluice(["check", path]);
    deepEqual([status, stdout], [1, ""]);
    match(stderr, /usage\.db was written by a newer release of Sluice \(version 99\)\. Use that release, or restore/);
  });

  test("a file that does not exist", () => {
    deepEqual(sluice(["check", "/nowhere/f"]), {
      status: 1,
      stdout: "",
      stderr: "The configuration file /nowhere/f does not exist.\n",
    });
  });
});

describe("key create", () => {
  test("prints the key once and the entry to add", () => {
    const { status, stdout } = sluice([
      "key",
      "create",
      "--name",
      "team a",
      "--models",
      "chat, other",
      "--expires",
      "2027-01-01T00:00:00Z",
    ]);
    equal(status, 0);
    const key = stdout.split("\n")[0] ?? "";
    match(key, /^sk-sluice-[\w-]{43}$/);
    equal(stdout.split(key).length, 2);
    const entry = `  - { name: "team a", hash: "sha256:${hashKey(key)}", expires: "2027-01-01T00:00:00Z", models: [chat, other] }`;
    ok(stdout.endsWith(`\nkeys:\n${entry}\n`));
  });

  test("adds to a file: nothing else changes, mode and link stay, no draft is left", () => {
    const text = `# mine\n${DEMO}keys:\n    # the first\n    - { name: a, hash: "${H1}" }   # a's\n# after\nworkers: 2\n`;
    const path = file(text);
    chmodSync(path, 0o640);
    const link = join(dirname(path), "link.yaml");
    symlinkSync(path, link);
    const { status, stdout, stderr } = sluice(["key", "create", "--name", "new", "-c", link]);
    deepEqual([status, stderr], [0, ""]);
    const key = stdout.split("\n")[0] ?? "";
    const added = `    - { name: new, hash: "sha256:${hashKey(key)}" }\n`;
    equal(readFileSync(path, "utf8"), text.replace("# a's\n", `# a's\n${added}`));
    deepEqual([statSync(path).mode & 0o777, lstatSync(link).isSymbolicLink()], [0o640, true]);
    deepEqual(readdirSync(dirname(path)).sort(), ["link.yaml", "sluice.yaml"]);
    ok(loadConfig(path, {}).keys.some(({ hash }) => hash === hashKey(key)));
    match(stdout, /reload/);
  });

  const refusals: Readonly<Record<string, readonly [text: string, args: readonly string[], message: RegExp]>> = {
    "a name that is taken": [`${DEMO}keys: [{ name: new, hash: "${H1}" }]\n`, [], /another key has this name\n/],
    "a model that does not exist": [DEMO, ["--models", "chta"], /there is no model 'chta'; did you mean 'chat'\?/],
    "a file with problems": [
      `${DEMO}lissten: 1\n`,
      [],
      /unknown key 'lissten'.*\n.* has problems that must be solved first/,
    ],
    "keys by reference": [`${DEMO}keys: [&a { name: a, hash: "${H1}" } # c\n  ]\n`, [], /cannot be edited safely/],
  };
  for (const [name, [text, args, message]] of Object.entries(refusals)) {
    test(`leaves the file alone: ${name}`, () => {
      const path = file(text);
      const { status, stdout, stderr } = sluice(["key", "create", "--name", "new", ...args, "-c", path]);
      deepEqual([status, stdout], [1, ""]);
      match(stderr, message);
      equal(readFileSync(path, "utf8"), text);
      deepEqual(readdirSync(dirname(path)), ["sluice.yaml"]);
    });
  }

  test("does not overwrite what someone else is editing", () => {
    const path = file(DEMO);
    writeFileSync(`${path}.new`, "theirs");
    const { status, stderr } = sluice(["key", "create", "--name", "new", "-c", path]);
    equal(status, 1);
    match(stderr, /sluice\.yaml\.new exists/);
    equal(readFileSync(`${path}.new`, "utf8"), "theirs");
  });
});

describe("where an entry is put", () => {
  const cases: Readonly<Record<string, readonly [before: string, after: string | null]>> = {
    "no list": ["a: b", `a: b\n\nkeys:\n  - ${LINE}\n`],
    "an empty list": ["keys: []\na: b\n", `keys: [${LINE}]\na: b\n`],
    "nothing but comments": ["keys: # none\n  # - a\na: b\n", `keys: # none\n  - ${LINE}\n  # - a\na: b\n`],
    "a list without indentation": [
      "keys:\n- name: x\n  hash: y\n\na: b\n",
      `keys:\n- name: x\n  hash: y\n- ${LINE}\n\na: b\n`,
    ],
    "a list at the end without a newline": ["keys:\n  - { name: x }", `keys:\n  - { name: x }\n  - ${LINE}\n`],
    "a flow list": ["keys: [{ name: x }]\n", `keys: [{ name: x }, ${LINE}]\n`],
    "a flow list with a comma at its end": ["keys: [\n  { name: x },\n]\n", `keys: [\n  { name: x },${LINE}]\n`],
    "a flow list with comments": ["keys: [\n  { name: x } # y\n]\n", null],
    "a reference": ["a: &k []\nkeys: *k\n", null],
    "a flow document": ["{ a: b }\n", null],
    "a syntax error": ["a: b: c\n", null],
  };
  for (const [name, [before, after]] of Object.entries(cases))
    test(name, () => equal(insertKeyEntry(before, ENTRY), after));
});
