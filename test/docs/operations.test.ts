/**
 * docs/operations.md is true: its shell blocks run, in the order of the page, against a real gateway; its fragments of configuration
 * are taken; its code reaches a model; metrics, messages and files that it names exist. Blocks called "console" need a whole system.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, readdirSync, readFileSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { parse, stringify } from "yaml";
import { findProgram } from "../support/installed.ts";
import { ROOT } from "../support/program.ts";
import { until } from "../support/until.ts";
import { InstalledMachine, type Outcome } from "./installed-machine.ts";
import { Page } from "./page.ts";
import { Provider } from "./provider.ts";

const page = new Page("docs/operations.md");
const host = await InstalledMachine.open();
const provider = await Provider.open();
after(async () => {
  await host.close();
  provider.close();
});

const FIRST = "sk-provider-first-0123456789";
const SECOND = "sk-provider-second-0123456789";
const ran = new Set<string>();

/** Runs the n-th shell block of a section. */
async function run(section: string, index: number, input = ""): Promise<Outcome> {
  const script = page.blocksIn(section, "sh")[index];
  ok(script !== undefined, `${section} has no shell block ${index}`);
  const outcome = await host.run(script, input);
  equal(outcome.code, 0, `${script}${outcome.stdout}${outcome.stderr}${host.log}`);
  ran.add(script);
  return outcome;
}

/** What an administrator does with a fragment: sections of it are put into the file. */
function configure(fragment: string): void {
  const changes = parse(host.here(fragment).replace("https://api.openai.com/v1", provider.url)) as Record<
    string,
    unknown
  >;
  const config = parse(host.read("/etc/sluice/sluice.yaml")) as Record<string, unknown>;
  for (const [name, value] of Object.entries(changes)) {
    const before = config[name];
    const mixed = typeof before === "object" && !Array.isArray(value) && typeof value === "object";
    config[name] = mixed ? { ...before, ...value } : value;
  }
  host.write("/etc/sluice/sluice.yaml", stringify(config));
}

function keyOf(file: string): string {
  return host.read(`/etc/sluice/${file}`).trim();
}

async function ask(key: string, model = "gpt-4o-mini"): Promise<{ status: number; text: string }> {
  const answer = await fetch(host.url("/v1/chat/completions"), {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify({ model, messages: [{ role: "user", content: "Hello" }] }),
  });
  return { status: answer.status, text: await answer.text() };
}

test("the first key is good for a request, and further ones are made", async () => {
  match((await run("The first key", 0)).stdout, /"content":"Hello! You said/);
  equal(statSync(host.path("/etc/sluice/first-key")).mode & 0o777, 0o600);
  await run("The first key", 1);
  equal((await ask(keyOf("search.key"), "demo-chat")).status, 200);
});

test("a provider is added with its credential in a file", async () => {
  await run("A provider", 0, `${FIRST}\n`);
  configure(page.blocksIn("A provider", "yaml").join("\n"));
  match((await run("A provider", 1)).stdout, /openai +http.*credential from the file .*\/etc\/sluice\/openai/);
  equal((await ask(keyOf("search.key"))).status, 200);
  equal(provider.authorization, `Bearer ${FIRST}`);
});

test("curl and the SDK find the gateway in the environment", async () => {
  match((await run("An application", 0)).stdout, /"id":"gpt-4o-mini"/);
  const [code = ""] = page.blocksIn("An application", "js");
  host.write("/app.mjs", code);
  symlinkSync(join(ROOT, "node_modules"), host.path("/node_modules"));
  const [environment = ""] = page.blocksIn("An application", "sh");
  const exports = environment.replace(/^curl.*$/m, `"${process.execPath}" app.mjs`);
  const { code: exit, stdout, stderr } = await host.run(exports);
  deepEqual([exit, stdout], [0, "Hello"], stderr);
});

test("the code for Python works where its SDK is installed, and is Python where only that is", async () => {
  const [code = ""] = page.blocksIn("An application", "python");
  match(code, /from openai import OpenAI\n\nclient = OpenAI\(\)\n/);
  host.write("/app.py", code);
  const python = findProgram("python3");
  const hasSdk = python !== null && spawnSync(python, ["-c", "import openai"]).status === 0;
  const [environment = ""] = page.blocksIn("An application", "sh");
  const command = hasSdk ? "python3 app.py" : 'python3 -m py_compile app.py && echo "Hello"';
  const { stdout, stderr } = await host.run(
    environment.replace(/^curl.*$/m, python === null ? "grep -o Hello app.py" : command),
  );
  equal(stdout, "Hello\n", stderr);
});

test("the listeners for proxies are valid", async () => {
  for (const [from, to] of [["server.pem", "tls.pem"] as const, ["server.key.pem", "tls.key"] as const])
    copyFileSync(join(ROOT, "test/fixtures/tls", `test-only-${from}`), host.path(`/etc/sluice/${to}`));
  const before = host.read("/etc/sluice/sluice.yaml");
  const [listeners = ""] = page.blocksIn("Behind a proxy", "yaml");
  configure(listeners);
  const { code, stdout, stderr } = await host.run("sluice check");
  equal(code, 0, stderr);
  match(stdout, /unix:.*\/run\/sluice\/proxy\.sock/);
  host.write("/etc/sluice/sluice.yaml", before);
  for (const [, name = ""] of page.text.matchAll(/`([\w-]+\.(?:conf|cfg))` \(/g))
    ok(readdirSync(host.path("/usr/share/doc/sluice/examples")).includes(name), name);
});

test("a credential in a file is rotated by a reload", async () => {
  await run("Rotate a credential", 0, `${SECOND}\n`);
  equal((await ask(keyOf("search.key"))).status, 200);
  equal(provider.authorization, `Bearer ${SECOND}`);
});

test("a credential of systemd is taken at a start, and a new one at the next", async () => {
  const [drop = ""] = page.blocksIn("Rotate a credential", "ini");
  host.write("/etc/systemd/system/sluice.service.d/credentials.conf", drop);
  configure("providers: { openai: { base_url: https://api.openai.com/v1, credential: { systemd: openai } } }");
  await run("Rotate a credential", 1, `${FIRST}\n`);
  await ask(keyOf("search.key"));
  equal(provider.authorization, `Bearer ${FIRST}`);
  host.write("/etc/sluice/openai.secret", `${SECOND}\n`);
  equal((await host.run("systemctl reload sluice\nsluice restart")).code, 0);
  await ask(keyOf("search.key"));
  equal(provider.authorization, `Bearer ${FIRST}`, "neither a reload nor a restart in place sees the new one");
  await run("Rotate a credential", 1, `${SECOND}\n`);
  await ask(keyOf("search.key"));
  equal(provider.authorization, `Bearer ${SECOND}`);
});

test("a key is replaced by another one, and revoked", async () => {
  await run("Rotate or revoke a key", 0);
  equal((await ask(keyOf("search-2.key"))).status, 200);
  equal((await ask(keyOf("search.key"))).status, 200);
  await run("Rotate or revoke a key", 1);
  match((await ask(keyOf("search.key"))).text, /key_disabled/);
  equal((await ask(keyOf("search-2.key"))).status, 200);
});

test("reload and restart wait for what comes of them", async () => {
  const { stdout } = await run("Reload, restart, upgrade", 0);
  match(stdout, /serves .*\nThe earlier generations have ended\.\n|have ended\.\n/);
});

/** Requests in the reports of the service, or of another data directory. */
async function requestsIn(directory = "/var/lib/sluice"): Promise<number> {
  const { stdout, stderr } = await host.run(`sluice usage --json --by key --data-dir ${directory}`);
  equal(stderr, "");
  const rows = JSON.parse(stdout) as { readonly requests: number }[];
  return rows.reduce((sum, { requests }) => sum + requests, 0);
}

test("a backup is made while it runs, can be read, and a gateway goes on from it", async () => {
  await until("some requests are stored", async () => (await requestsIn()) >= 5);
  await run("Back up and restore", 0);
  const copied = "mkdir /var/backups/dir && cp /var/backups/sluice/usage-*.db /var/backups/dir/usage.db";
  equal((await host.run(copied)).code, 0);
  const inBackup = await requestsIn("/var/backups/dir");
  ok(inBackup >= 5);
  await run("Back up and restore", 1);
  equal(await requestsIn(), inBackup);
  equal((await ask(keyOf("search-2.key"))).status, 200);
  await until("it counts on", async () => (await requestsIn()) === inBackup + 1);
});

test("every metric in an alert is on the page for Prometheus", async () => {
  const { stdout } = await run("Monitor", 0);
  const known = new Set([...stdout.matchAll(/^# TYPE (\w+) /gm)].map(([, name]) => name));
  const [rules = ""] = page.blocksIn("Monitor", "yaml rules");
  const { groups } = parse(rules) as { groups: { rules: { alert: string; expr: string }[] }[] };
  const alerts = groups.flatMap((group) => group.rules);
  ok(alerts.length >= 8);
  const named = alerts.flatMap(({ expr }) => expr.match(/\bsluice_\w+/g) ?? []);
  deepEqual(
    named.filter((name) => !known.has(name)),
    [],
  );
  const codes = [...rules.matchAll(/code="(\w+)"/g)].map(([, code]) => code);
  deepEqual(
    codes.filter((code) => !stdout.includes(`code="${code}"`)),
    [],
  );
  const [scrape = ""] = page.blocksIn("Monitor", "yaml prometheus");
  match(JSON.stringify(parse(scrape)), /"127\.0\.0\.1:8080"/);
});

/** All of `directory`, which may have folders, as paths of the real system. */
function found(directory: string): string[] {
  const entries = readdirSync(host.path(directory), { recursive: true, withFileTypes: true });
  return entries.map((entry) => {
    const path = join(entry.parentPath, entry.name).slice(host.root.length);
    return entry.isDirectory() ? `${path}/` : path;
  });
}

interface Described {
  readonly path: string;
  /** Three or four octal digits; "": the row does not say. */
  readonly mode: string;
  readonly always: boolean;
  readonly pattern: RegExp;
}

const described: readonly Described[] = page.rows
  .filter(({ section }) => section === "What each file is")
  .map(({ cells: [path = "", mode = "", what = ""] }) => {
    const plain = path.replaceAll("`", "");
    const source = plain.replaceAll(".", "\\.").replaceAll("NNN", "\\d{3}").replaceAll("*", "[^/]+");
    return {
      path: plain,
      mode: /\d+$/.exec(mode)?.[0] ?? "",
      always: !what.startsWith("Only "),
      pattern: new RegExp(`^${source}$`),
    };
  });

test("every file that the service makes is on the page, with its mode, and the other way round", async () => {
  configure("access_log: { path: /var/log/sluice/access.ndjson }\nhistograms: { interval: 100ms }");
  equal((await host.run("systemctl reload sluice")).code, 0);
  await ask(keyOf("search-2.key"));
  const made = ["/var/lib/sluice", "/var/log/sluice", "/run/sluice"];
  const rows = described.filter(({ path }) => made.some((directory) => path.startsWith(`${directory}/`)));
  const wanted = rows.filter(({ path, always }) => always && !made.includes(path.replace(/\/$/, "")));
  ok(wanted.length >= 9);
  const missing = () => wanted.filter(({ pattern }) => !made.flatMap(found).some((path) => pattern.test(path)));
  await until("all of them are there", () => missing().length === 0).catch(() => deepEqual(missing(), []));
  for (const path of made.flatMap(found)) {
    const row = rows.find(({ pattern }) => pattern.test(path));
    ok(row !== undefined, `${path} is not on the page`);
    equal((statSync(host.path(path)).mode & 0o777).toString(8).padStart(4, "0"), row.mode, path);
  }
});

/** Texts of the program, its messages among them. */
function sources(): string {
  const files = readdirSync(join(ROOT, "src"), { recursive: true, encoding: "utf8" });
  return files
    .filter((file) => /\.(?:ts|cc)$/.test(file))
    .map((file) => readFileSync(join(ROOT, "src", file), "utf8"))
    .join("\n");
}

test("every message in the table is one of the program's", () => {
  const text = sources();
  const messages = page.rows
    .filter(({ section }) => section === "When something is wrong")
    .map(({ cells: [message = ""] }) => message.replaceAll("`", ""));
  ok(messages.length >= 20);
  deepEqual(
    messages.filter((message) => !text.includes(message)),
    [],
  );
});

test("links lead to sections of the page", () => {
  const anchors = [...page.text.matchAll(/^## (.*)$/gm)].map(([, title = ""]) =>
    title
      .toLowerCase()
      .replaceAll(/[^\w -]/g, "")
      .replaceAll(" ", "-"),
  );
  const links = [...page.text.matchAll(/\]\(#([^)]*)\)/g)].map(([, anchor = ""]) => anchor);
  deepEqual(
    links.filter((link) => !anchors.includes(link)),
    [],
  );
  deepEqual(
    anchors.filter((anchor) => !links.includes(anchor)),
    [],
  );
});

/** What changes the packages of a machine, or is the machine's own. */
const SYSTEM = /^# (?:apt|systemctl|journalctl) /;

test("no block is left out: shell runs here, and what needs a whole system is nothing but that", () => {
  const shell = page.blocks.filter(({ language }) => language === "sh").map(({ text }) => text);
  deepEqual(
    shell.filter((text) => !ran.has(text)),
    [],
  );
  const console = page.blocks
    .filter(({ language }) => language === "console")
    .flatMap(({ text }) => text.trimEnd().split("\n"));
  deepEqual(
    console.filter((line) => !SYSTEM.test(line)),
    [],
  );
  const known = ["sh", "console", "yaml", "yaml prometheus", "yaml rules", "ini", "python", "js"];
  deepEqual(
    page.blocks.filter(({ language }) => !known.includes(language)),
    [],
  );
});
