/** scripts/benchmark.sh: what it refuses, what it says is missing, and a whole run where hey is installed. */
import assert from "node:assert/strict";
import { type ExecFileException, execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { freePort } from "../../native-bench/contestants/free-port.ts";
import { isInstalled } from "../../native-bench/runner/requirement.ts";
import { buildPrograms } from "./programs.ts";

const SCRIPT = fileURLToPath(new URL("../../scripts/benchmark.sh", import.meta.url));
const RUN_DEADLINE_MS = 120_000;

let directory = "";

before(async () => {
  directory = mkdtempSync(join(tmpdir(), "sluice-script-test-"));
  await buildPrograms();
});

after(() => rmSync(directory, { recursive: true, force: true }));

interface Ended {
  readonly code: number;
  readonly output: string;
  readonly errors: string;
}

function run(environment: Readonly<Record<string, string>>, ...args: readonly string[]): Promise<Ended> {
  const { promise, resolve } = Promise.withResolvers<Ended>();
  const options = { env: { ...process.env, ...environment }, timeout: RUN_DEADLINE_MS };
  execFile("bash", [SCRIPT, ...args], options, (error: ExecFileException | null, output, errors) => {
    resolve({ code: error === null ? 0 : Number(error.code ?? -1), output, errors });
  });
  return promise;
}

const elsewhere = [
  "http://192.0.2.1:8081",
  "https://127.0.0.1:8081",
  "http://127.0.0.1.example.com:8081",
  "http://127.0.0.1:80@192.0.2.1:8081",
  "http://example.com:8081",
  "http://127.0.0.1",
];

for (const url of elsewhere) {
  for (const name of ["PROXY_URL", "ADMIN_URL"]) {
    test(`${name}=${url} is refused`, async () => {
      const { code, errors } = await run({ [name]: url });
      assert.equal(code, 1);
      assert.ok(errors.includes(`${name} is ${url}: only http://127.0.0.1:PORT is loaded`), errors);
    });
  }
}

const settings: readonly [name: string, value: string][] = [
  ["CONCURRENT_USERS", "0"],
  ["CONCURRENT_USERS", "many"],
  ["DURATION", "long"],
  ["DURATION", "-5"],
  ["MODEL", 'x", "y": "'],
];

for (const [name, value] of settings) {
  test(`${name}=${value} is refused`, async () => {
    const { code, errors } = await run({ [name]: value });
    assert.equal(code, 1);
    assert.ok(errors.includes(`${name} is ${value}`), errors);
  });
}

test("without hey it says how to get it, and starts nothing", async () => {
  const bin = join(directory, "bin");
  mkdirSync(bin);
  for (const tool of ["bash", "dirname"]) symlinkSync(pathOf(tool), join(bin, tool));
  const { code, errors } = await run({ PATH: bin });
  assert.equal(code, 1);
  assert.match(errors, /hey is not in PATH: apt-get install hey/);
});

function pathOf(tool: string): string {
  const folder = (process.env["PATH"] ?? "")
    .split(delimiter)
    .find((each) => isInstalled(join(each, tool), "--version"));
  assert.ok(folder !== undefined, `${tool} is needed`);
  return join(folder, tool);
}

test("--help names every setting", async () => {
  const { code, output } = await run({}, "--help");
  assert.equal(code, 0);
  for (const name of ["PROXY_URL", "ADMIN_URL", "API_KEY", "MODEL", "CONCURRENT_USERS", "DURATION"])
    assert.match(output, new RegExp(`^ +${name} `, "m"));
});

const HAS_TOOLS = isInstalled("hey", "-h") && isInstalled("curl", "--version");
const TITLE = HAS_TOOLS ? "a run prints the figures of every scenario" : "a run asks for its tools";

test(TITLE, async () => {
  const own = mkdtempSync(join(directory, "run-"));
  const urls = {
    PROXY_URL: `http://127.0.0.1:${await freePort()}`,
    ADMIN_URL: `http://127.0.0.1:${await freePort()}`,
  };
  const { code, output, errors } = await run({ ...urls, DURATION: "300ms", CONCURRENT_USERS: "4", TMPDIR: own });
  assert.deepEqual(readdirSync(own), []);
  if (!HAS_TOOLS) {
    assert.equal(code, 1);
    assert.match(errors, /hey is not in PATH/);
    return;
  }
  assert.equal(code, 0, errors + output);
  for (const title of ["small bodies: 4", "bodies of 4 KB: 4", "streams: 4", "one user: 1", "twice the users: 8"]) {
    assert.ok(output.includes(`== ${title} users`), output);
  }
  const answers = [...output.matchAll(/^ +\[200\]\t(\d+) responses$/gm)].map(([, count]) => Number(count));
  assert.equal(answers.length, 5);
  assert.equal(output.match(/^Latency distribution:$/gm)?.length, 5);
  const sum = answers.reduce((total, count) => total + count, 0);
  // Those that hey gave up at the end of its time have a record, and no line.
  const [, stored] = /sluice_records_stored_total (\d+)/.exec(output) ?? [];
  assert.ok(Number(stored) >= sum, `${stored} records of ${sum} answers`);
});
