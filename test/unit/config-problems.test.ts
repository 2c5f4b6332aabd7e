/** What is wrong with a configuration file is found, at its place, in words that help. */
import { deepEqual, equal, match, notEqual } from "node:assert/strict";
import { describe, test } from "node:test";
import { checkText } from "../../src/config/load.ts";
import { formatProblems } from "../../src/config/problem.ts";

const H1 = `sha256:${"1".repeat(64)}`;
const H2 = `sha256:${"2".repeat(64)}`;
const DEMO = "providers: { demo: { type: demo } }\n";

function report(text: string, env: NodeJS.ProcessEnv = {}): string {
  const { problems, missing } = checkText("/nowhere/f.yaml", text, env);
  return formatProblems("f.yaml", text, [...problems, ...missing]);
}

/** The first lines of the problems, without excerpts. */
function heads(text: string): readonly string[] {
  return report(text)
    .split("\n")
    .filter((line) => line.startsWith("f.yaml:"));
}

/** One case: the text, and where and what its only problem is. */
function problem(name: string, text: string, expected: string): void {
  test(name, () => deepEqual(heads(text), [`f.yaml:${expected}`]));
}

describe("YAML that cannot be read", () => {
  const second = "1:4: a second ': ' in one value; put the value between quotes, or begin a new line";
  problem("two values on a line", "a: b: c\n", second);
  problem("a tab as indentation", "log:\n\tlevel: info\n", "2:1: tabs cannot indent YAML; use spaces");
  problem(
    "wrong indentation",
    `${DEMO}log:\n    level: info\n  x: 1\n`,
    "4:1: the indentation does not fit the lines above",
  );
  problem("a duplicate key", `${DEMO}workers: 1\nworkers: 2\n`, "3:1: 'workers' is given twice");
  problem("a duplicate key below", "providers: {a: {type: demo}, a: {type: demo}}\n", "1:30: 'a' is given twice");
  problem("a lost reference", `${DEMO}workers: *w\n`, "2:10: there is no anchor (&name) of this name above");
  problem("a tag", `${DEMO}workers: !!int 2\n`, "2:10: tags (!name) are not taken");
  problem(
    "a second document",
    `${DEMO}---\nworkers: 1\n`,
    "2:1: a configuration is one document; remove the second '---'",
  );
  problem("a key that is a list", `${DEMO}? [a]\n: b\n`, "2:3: a key has to be a single text");
  problem("an empty file", "", "1:1: expected a mapping (key: value)");
  problem("a list as the file", "- a\n", "1:1: expected a mapping (key: value)");

  test("a quote that is not closed", () =>
    match(report(`${DEMO}log: { level: 'info }\n`), /^f\.yaml:\d+:\d+: something is missing/));
  test("too many references", () => {
    const text = `${DEMO}x: [&a b${", *a".repeat(101)}]\n`;
    match(report(text), /^f\.yaml:2:411: at most 100 references \(\*name\) are taken$/);
  });
  test("references that stay in bounds are followed", () => {
    equal(report(`providers: { a: &p { base_url: "http://a/v1" }, b: *p }\npassthrough: a\n`), "");
  });
  test("a reference to what contains it", () => match(report("providers: &p { a: *p }\n"), /^f\.yaml:1:/));
});

describe("keys and values that the schema does not have", () => {
  problem("an unknown key", `${DEMO}lissten: 1\n`, "2:1: unknown key 'lissten'; did you mean 'listen'?");
  problem(
    "an unknown key below",
    `${DEMO}limits: { body-bytes: 1MiB }\n`,
    "2:11: unknown key 'body-bytes'; did you mean 'body_bytes'?",
  );
  problem("an unknown key like no other", `${DEMO}colour: red\n`, "2:1: unknown key 'colour'");
  problem("__proto__", `${DEMO}__proto__: { a: b }\n`, "2:1: this name is reserved");
  problem(
    "__proto__ as a provider",
    "providers: { demo: { type: demo }, __proto__: { type: demo } }\n",
    "1:36: this name is reserved",
  );
  problem(
    "a demo provider with a URL",
    "providers: { d: { type: demo, base_url: http://x } }\n",
    "1:31: unknown key 'base_url'",
  );
  problem("an unknown provider type", "providers: { d: { type: dem } }\n", "1:25: expected one of: openai, demo");
  problem("a provider without a URL", "providers:\n  a: { usage_option: true }\n", "2:3: 'base_url' is required");
  problem("a key without a hash", `${DEMO}keys:\n  - name: a\n`, "3:5: 'hash' is required");
  problem("no providers", "workers: 1\n", "1:1: 'providers' is required");
  problem("providers that are all comments", "providers:\n  # a\n", "1:11: expected a mapping (key: value)");
  problem("a list for a mapping", `${DEMO}limits: []\n`, "2:9: expected a mapping (key: value)");
  problem("a mapping for a list", `${DEMO}keys: { a: b }\n`, "2:7: expected a list");
  problem("a mapping for a value", `${DEMO}workers: { a: b }\n`, "2:10: expected a single value");
  problem(
    "an enumeration",
    `${DEMO}log: { level: wran }\n`,
    "2:15: expected one of: trace, debug, info, warn, error, fatal; did you mean 'warn'?",
  );
  problem("a number", `${DEMO}workers: 0\n`, "2:10: expected auto or a whole number from 1 to 128");
  problem("a boolean", `${DEMO}replay_stale: yes\n`, "2:15: expected true or false");
  problem(
    "an address",
    `${DEMO}listen: 8081\n`,
    "2:9: expected host:port, such as 127.0.0.1:8081, 0.0.0.0:8081 or '[::]:8081' (with its quotes)",
  );
  problem("a port", `${DEMO}listen: localhost:0\n`, "2:9: the port must be from 1 to 65535");
  problem(
    "a duration without a unit",
    `${DEMO}timeouts: { idle: 10 }\n`,
    "2:19: expected a duration with its unit, such as 500ms, 10s, 5m or 1h",
  );
  problem("a duration out of bounds", `${DEMO}timeouts: { idle: 25h }\n`, "2:19: the duration must be from 1ms to 24h");
  problem(
    "a size",
    `${DEMO}limits: { body_bytes: 1TiB }\n`,
    "2:23: expected a size, such as 512KiB, 32MiB, 1GB or a number of bytes",
  );
  problem("a size out of bounds", `${DEMO}limits: { body_bytes: 2GiB }\n`, "2:23: the size must be from 1KiB to 1GiB");
  problem(
    "a depth out of bounds",
    `${DEMO}limits: { json_depth: 1025 }\n`,
    "2:23: expected a whole number from 2 to 1024",
  );
  problem(
    "an instant without a zone",
    `${DEMO}keys: [{ name: a, hash: "${H1}", expires: 2027-01-01T00:00:00 }]\n`,
    "2:109: expected a date or an instant with its zone, such as 2027-01-01 or 2027-01-01T00:00:00Z",
  );
  problem(
    "a day that does not exist",
    `${DEMO}keys: [{ name: a, hash: "${H1}", expires: 2027-02-30 }]\n`,
    "2:109: expected a date or an instant with its zone, such as 2027-01-01 or 2027-01-01T00:00:00Z",
  );
  problem(
    "an empty list of models",
    `${DEMO}keys: [{ name: a, hash: "${H1}", models: [] }]\n`,
    "2:108: an empty list is not taken; leave it out instead",
  );
  problem(
    "a name that would be cut in records",
    `providers: { ${"p".repeat(48)}: { type: demo } }\n`,
    "1:14: a name has at most 47 bytes",
  );
  problem(
    "a name by bytes, not characters",
    `providers: { ${"é".repeat(24)}: { type: demo } }\n`,
    "1:14: a name has at most 47 bytes",
  );
  problem(
    "a name with a control character",
    `${DEMO}models: { "a\\nb": { provider: demo } }\n`,
    "2:11: a name must be printable, not empty, and without spaces at its ends",
  );
  problem("a model called ..", `${DEMO}models: { "..": { provider: demo } }\n`, "2:11: this name is reserved");
  problem(
    "a price with 7 decimals",
    `${DEMO}prices: { a: { input: 0.1234567, output: 1 } }\n`,
    "2:23: a price has at most 6 decimals",
  );
  problem(
    "a price in exponents",
    `${DEMO}prices: { a: { input: 1e-3, output: 1 } }\n`,
    "2:23: expected USD per million tokens as a decimal, such as 0.15",
  );
  problem(
    "a negative price",
    `${DEMO}prices: { a: { input: -1, output: 1 } }\n`,
    "2:23: expected USD per million tokens as a decimal, such as 0.15",
  );
  problem(
    "a price over the bound",
    `${DEMO}prices: { a: { input: 10000.000001, output: 1 } }\n`,
    "2:23: a price is at most 10000 USD per million tokens",
  );
});

describe("providers", () => {
  const provider = (rest: string) => `providers: { a: { base_url: "http://h/v1", ${rest} } }\n`;
  const url = (text: string) => `providers: { a: { base_url: "${text}" } }\n`;
  problem(
    "a URL of another scheme",
    url("ftp://h"),
    "1:29: expected an http or https URL, such as https://api.openai.com/v1",
  );
  problem(
    "a URL with a password",
    url("http://u:p@h"),
    "1:29: a URL with a user or password is not taken; use 'credential'",
  );
  problem("a URL with a fragment", url("http://h/#a"), "1:29: a base URL has no fragment (#)");
  for (const path of ["/v1/chat/completions", "/v1/embeddings/?a=b", "/openai/deployments/{model}/chat/completions"]) {
    const [, endpoint] = /(\/chat\/completions|\/embeddings)/.exec(path) ?? [];
    const expected = `1:29: the path of each request is added to this; leave out '${endpoint}'`;
    problem(`the URL of a request (${path})`, url(`https://h${path}`), expected);
  }
  test("a URL with such words elsewhere in its path", () => deepEqual(heads(url("https://h/completions/v1")), []));
  problem("a model in the host", url("http://{model}.h/"), "1:29: {model} can only stand in the path");
  problem("a header name", provider('headers: { "a b": c }'), "1:55: this is not a valid header name");
  problem(
    "a header value",
    provider('headers: { a: "b\\r\\nc: d" }'),
    "1:58: a header value is 1 to 8192 printable ASCII characters, without spaces at its ends",
  );
  problem(
    "a header of the connection",
    provider("headers: { Host: b }"),
    "1:55: this header belongs to the connection and cannot be set",
  );
  problem(
    "a credential as a header",
    provider("headers: { Authorization: b }"),
    "1:55: credentials are not written here; use 'credential' and 'auth'",
  );
  problem("a header given twice", provider("headers: { X-A: b, x-a: c }"), "1:63: this header is given twice");
});

describe("what is valid and probably not meant", () => {
  const KEYS = `keys: [{ name: a, hash: "${H1}" }]\n`;
  const warnings = (text: string) => {
    const { config, warnings: found } = checkText("/nowhere/f.yaml", text, {});
    notEqual(config, null);
    return found.map(({ line, column, message, suggestion }) =>
      `${line}:${column}: ${message} ${suggestion ?? ""}`.trim(),
    );
  };
  const models = (routes: string, prices: string) => {
    const names = prices.split(" ").map((name) => `"${name}": { input: 1, output: 1 }`);
    return warnings(`${DEMO}models: { ${routes} }\nprices: { ${names.join(", ")} }\n${KEYS}`);
  };

  test("no key", () => {
    const noKey = "there is no key, so every request is refused; 'sluice key create' makes one";
    deepEqual(warnings(`${DEMO}models: { a: { provider: demo } }\nkeys: []\n`), [`3:7: ${noKey}`]);
    deepEqual(warnings(`${DEMO}models: { a: { provider: demo } }\n`), [`1:1: ${noKey}`]);
  });

  test("no model", () => {
    deepEqual(warnings(DEMO + KEYS), ["1:1: there is no model, so every request that names one is refused"]);
  });

  test("a price that nothing has", () => {
    deepEqual(models("chat: { provider: demo, model: gpt }", "chat gpt cat tree"), [
      "3:76: no model is called 'cat', so this price has no effect chat",
      "3:108: no model is called 'tree', so this price has no effect",
    ]);
  });

  test("nothing, where any model may come", () => {
    deepEqual(models('"*": { provider: demo }', "tree"), []);
    deepEqual(models('"*": { provider: demo, model: gpt }', "tree gpt"), [
      "3:11: no model is called 'tree', so this price has no effect",
    ]);
  });
});

describe("references between sections", () => {
  const two = "providers: { demo: { type: demo }, az: { base_url: 'http://h/{model}' } }\n";
  problem(
    "a model of an unknown provider",
    `${DEMO}models: { a: { provider: dmeo } }\n`,
    "2:26: there is no provider 'dmeo'; did you mean 'demo'?",
  );
  problem(
    "a provider named like an object's own",
    `${DEMO}models: { a: { provider: constructor } }\n`,
    "2:26: there is no provider 'constructor'",
  );
  problem("a model that goes nowhere", `${DEMO}models: { a: { model: b } }\n`, "2:14: 'provider' is required");
  problem(
    "a model with one target and several",
    `${DEMO}models: { a: { provider: demo, targets: [{ provider: demo }] } }\n`,
    "2:16: this stands at each of the 'targets'",
  );
  problem(
    "a name there beside several targets",
    `${DEMO}models: { a: { model: b, targets: [{ provider: demo }] } }\n`,
    "2:16: this stands at each of the 'targets'",
  );
  problem(
    "a target of an unknown provider",
    `${DEMO}models: { a: { targets: [{ provider: demo }, { provider: dmeo }] } }\n`,
    "2:58: there is no provider 'dmeo'; did you mean 'demo'?",
  );
  problem(
    "a target without a share",
    `${DEMO}models: { a: { targets: [{ provider: demo, weight: 0 }] } }\n`,
    "2:52: expected a whole number from 1 to 1000",
  );
  problem(
    "a strategy that does not exist",
    `${DEMO}models: { a: { strategy: weigthed, targets: [{ provider: demo }] } }\n`,
    "2:26: expected one of: priority, weighted, round_robin, least_in_flight, latency, cost, headroom, hash; did you mean 'weighted'?",
  );
  problem(
    "a hedge of one target",
    `${DEMO}models: { a: { provider: demo, hedge: { after: 1s } } }\n`,
    "2:32: this needs at least two 'targets', and as many 'attempts'",
  );
  problem(
    "a delay that is too short to be one",
    `${DEMO}load_shedding: { delay: 1ms }\n`,
    "2:25: the duration must be from 5ms to 10s",
  );
  problem(
    "a hedge beside a canary",
    `${DEMO}models: { a: { provider: demo, canary: { provider: demo, model: b, percent: 1 }, hedge: {} } }\n`,
    "2:82: a model with a 'canary' has none",
  );
  problem(
    "a hedge of one attempt",
    `${DEMO}models: { a: { attempts: 1, targets: [{ provider: demo }, { provider: demo }], hedge: {} } }\n`,
    "2:80: this needs at least two 'targets', and as many 'attempts'",
  );
  problem(
    "a hedge after nothing that is known",
    `${DEMO}models: { a: { targets: [{ provider: demo }, { provider: demo }], hedge: { after: p99 } } }\n`,
    "2:83: expected a duration with its unit, such as 500ms, 10s, 5m or 1h; or p95",
  );
  problem(
    "a failure that is none",
    `${DEMO}retries: { on: [connect, 404] }\n`,
    "2:26: expected one of: connect, reset, timeout, rate_limit, server_error, credential, conflict",
  );
  problem(
    "passthrough to an unknown provider",
    `${DEMO}passthrough: dem\n`,
    "2:14: there is no provider 'dem'; did you mean 'demo'?",
  );
  problem(
    "passthrough without a model in the URL",
    `${two}passthrough: az\n`,
    "2:14: this provider's base_url contains {model}, and passthrough requests name none",
  );
  problem(
    "any model to a URL with a model",
    `${two}models: { "*": { provider: az } }\n`,
    "2:28: this provider's base_url contains {model}, so the route '*' needs a 'model'",
  );
  problem(
    "the same port twice",
    `${DEMO}listen: 127.0.0.1:8080\n`,
    "2:9: 'listen' and 'admin.listen' both use port 8080; give one of them another",
  );
  problem(
    "the same port twice, the other way",
    `${DEMO}admin: { listen: 127.0.0.1:8081 }\n`,
    "2:18: 'listen' and 'admin.listen' both use port 8081; give one of them another",
  );
  problem(
    "a body larger than all bodies",
    `${DEMO}limits: { body_bytes: 512MiB }\n`,
    "2:23: one body must not be larger than 'body_bytes_in_flight'",
  );
  problem("no provider", "providers: {}\n", "1:12: at least one provider is needed, such as 'demo: { type: demo }'");
  problem(
    "a key name twice",
    `${DEMO}keys:\n  - { name: a, hash: "${H1}" }\n  - { name: a, hash: "${H2}" }\n`,
    "4:13: another key has this name",
  );
  problem(
    "a hash twice",
    `${DEMO}keys:\n  - { name: a, hash: "${H1}" }\n  - { name: b, hash: "${H1}" }\n`,
    "4:22: another key has this hash",
  );

  const models = `${DEMO}models: { chat: { provider: demo } }\n`;
  const keys = (model: string) => `keys:\n  - name: a\n    hash: "${H1}"\n    models: [${model}]\n`;
  problem(
    "a key for an unknown model",
    `${models}${keys("chta")}`,
    "6:14: there is no model 'chta'; did you mean 'chat'?",
  );
  problem("a key for *", `${models}${keys('"*"')}`, "6:14: '*' is not a model; leave 'models' out to allow all");
  test("a key for a model that only the route * takes", () => {
    equal(report(`${DEMO}models: { "*": { provider: demo } }\n${keys("anything")}`), "");
  });
});

test("several problems are reported at once, in the order of the file", () => {
  const lines = heads("listen: 1\nworkers: x\nproviders: { a: { base_url: x, aut: bearer } }\n").map((line) =>
    line.slice(0, 11),
  );
  deepEqual(lines, ["f.yaml:1:9:", "f.yaml:2:10", "f.yaml:3:29", "f.yaml:3:32"]);
});

test("a flood of problems is counted", () => {
  const text = `${DEMO}keys: [${"a, ".repeat(50)}]\n`;
  match(report(text), /and 30 more$/);
});

test("the caret stands under the mistake", () => {
  equal(
    report(`${DEMO}log: { level: wran }\n`).split("\n").slice(1).join("\n"),
    `    log: { level: wran }\n    ${" ".repeat(14)}^`,
  );
});

test("aliases that multiply are a problem of the file, not a bug", () => {
  const levels = Array.from(
    { length: 9 },
    (_, i) => `${i === 0 ? "a0: &a0 [x, x, x]" : `a${i}: &a${i} [${`*a${i - 1}, `.repeat(9)}x]`}`,
  );
  const { problems } = checkText("/etc/sluice.yaml", `${levels.join("\n")}\n`, {});
  equal(problems.length, 1);
  match(problems[0]?.message ?? "", /aliases/);
});
