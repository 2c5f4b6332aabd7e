/** What is wrong with `rate_limit_queue`, `user_header` and priorities of keys is found at its place; and what they mean when they are right. */
import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { compileSnapshot } from "../../src/config/compile.ts";
import { checkText } from "../../src/config/load.ts";
import { formatProblems } from "../../src/config/problem.ts";
import type { Snapshot } from "../../src/config/snapshot.ts";

const KEY = `name: web, hash: "sha256:${"1".repeat(64)}"`;
const BASE = "providers: { own: { base_url: 'http://127.0.0.1:1/v1' } }\nmodels: { chat: { provider: own } }\n";
const LIMITS = "rate_limits: [{ scope: [user], requests: 1/s }]";

function textOf(line: string, limits = LIMITS, key = KEY): string {
  return `${BASE}${limits}\nkeys: [{ ${key} }]\n${line}\n`;
}

function heads(text: string): readonly string[] {
  const { problems, warnings } = checkText("/nowhere/f.yaml", text, {});
  return formatProblems("f.yaml", text, [...problems, ...warnings])
    .split("\n")
    .filter((line) => line.startsWith("f.yaml:"));
}

function snapshotOf(text: string): Snapshot {
  const { config } = checkText("/nowhere/f.yaml", text, {});
  if (config === null) throw new Error("it is not valid");
  return compileSnapshot(config, 1);
}

/** The line behind the keys, and its only problem. */
function problem(name: string, line: string, expected: string): void {
  test(name, () => deepEqual(heads(textOf(line)), [`f.yaml:5:${expected}`]));
}

problem("a queue without an end", "rate_limit_queue: {}", "1: 'max_wait' is required");
problem("a wait that is too long", "rate_limit_queue: { max_wait: 2m }", "31: the duration must be from 1ms to 1m");
problem(
  "an unknown setting",
  "rate_limit_queue: { max_wait: 2s, max_request: 5 }",
  "35: unknown key 'max_request'; did you mean 'max_requests'?",
);
problem(
  "a header that is a secret",
  "user_header: Authorization",
  "14: this header has another meaning; choose one that only names users, such as x-user-id",
);
problem("a header that is none", "user_header: user id", "14: this is not a valid header name");

test("a priority that is none", () => {
  const [head = ""] = heads(textOf("", LIMITS, `${KEY}, priority: 10`));
  equal(head.replace(/^[^ ]+ /, ""), "expected a whole number from 0 to 9");
});

test("what no limit needs is a warning", () => {
  const none = "rate_limits: [{ scope: [key], requests: 1/s, mode: observe }]";
  deepEqual(heads(textOf("rate_limit_queue: { max_wait: 2s }", none)), [
    "f.yaml:5:19: there are no rate_limits that refuse, so nothing waits",
  ]);
  deepEqual(heads(textOf("user_header: x-user-id", none)), [
    "f.yaml:5:14: no limit, no budget and no model goes by users, so nobody asks for it",
  ]);
});

test("models that go by users need the header that names them", () => {
  const two = "targets: [{ provider: own }, { provider: own }]";
  for (const model of [
    `{ strategy: hash, hash_by: user, ${two} }`,
    "{ provider: own, canary: { provider: own, sticky: user } }",
    `{ provider: own, routes: [{ name: r, when: { stream: true }, strategy: hash, hash_by: user, ${two} }] }`,
  ]) {
    const text = textOf("user_header: x-user-id", "rate_limits: []").replace(
      /^models: .*$/m,
      `models: { m: ${model} }`,
    );
    deepEqual(heads(text), []);
  }
});

test("what is right means what it says, and has defaults", () => {
  const text = textOf("rate_limit_queue: { max_wait: 1500ms, max_bytes: 1KiB }\nuser_header: X-User-Id");
  deepEqual(heads(text), []);
  const { queue, userHeader, keyRecords } = snapshotOf(text);
  deepEqual(queue, { maxWaitMs: 1_500, maxRequests: 1_000, maxBytes: 1_024 });
  deepEqual([userHeader, keyRecords[0]?.priority], ["\r\nx-user-id: ", 5]);
  equal(snapshotOf(textOf("", LIMITS, `${KEY}, priority: 0`)).keyRecords[0]?.priority, 0);
  const without = snapshotOf(textOf("", "rate_limits: []"));
  deepEqual([without.queue, without.userHeader], [null, ""]);
});
