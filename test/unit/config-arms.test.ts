/** What the file means by split and canary, and what is wrong with them, at its place, in words that help. */
import { deepEqual, equal, notEqual } from "node:assert/strict";
import { test } from "node:test";
import { ARMS_MAX, MODEL_ROUTES_MAX, SPLIT_ARMS_MAX } from "../../src/base/limits.ts";
import { armKey, armKeys } from "../../src/config/arm.ts";
import { armsOf, formTargets } from "../../src/config/arms.ts";
import { readForm } from "../../src/config/form.ts";
import { checkText } from "../../src/config/load.ts";
import type { ModelConfig } from "../../src/config/model.ts";
import { formatProblems } from "../../src/config/problem.ts";
import { FORM } from "../../src/config/schema.ts";

const BASE = "providers: { demo: { type: demo }, other: { type: demo } }\n";

function heads(model: string): readonly string[] {
  const text = `${BASE}models: { chat: ${model} }\n`;
  const { problems } = checkText("/nowhere/f.yaml", text, {});
  return formatProblems("f.yaml", text, problems)
    .split("\n")
    .filter((line) => line.startsWith("f.yaml:"));
}

/** One case: a model on line 2, and where on it and what its only problem is. */
function problem(name: string, model: string, expected: string): void {
  test(name, () => deepEqual(heads(model), [`f.yaml:2:${expected}`]));
}

const ARMS = "arms: [{ name: a, share: 9, provider: demo }, { name: b, share: 1, provider: other }]";

test("splits and canaries that are right", () => {
  deepEqual(heads(`{ split: { ${ARMS} } }`), []);
  deepEqual(heads(`{ split: { sticky: header, header: X-Team, ${ARMS} }, strategy: weighted, attempts: 3 }`), []);
  deepEqual(heads("{ provider: demo, canary: { provider: other, model: next } }"), []);
  deepEqual(heads("{ provider: demo, canary: { targets: [{ provider: other }], percent: 0, sticky: user } }"), []);
  deepEqual(heads("{ provider: demo, canary: { provider: other, rollback: { window: 1m, requests: 50 } } }"), []);
});

problem(
  "an arm's provider that is none",
  "{ split: { arms: [{ name: a, share: 1, provider: demp }, { name: b, share: 1, provider: other }] } }",
  "66: there is no provider 'demp'; did you mean 'demo'?",
);
problem(
  "an arm without a target",
  "{ split: { arms: [{ name: a, share: 1 }, { name: b, share: 1, provider: other }] } }",
  "35: 'provider' is required",
);
problem("one arm", "{ split: { arms: [{ name: a, share: 1, provider: demo }] } }", "34: a split has two arms or more");
problem(
  "two arms of one name",
  "{ split: { arms: [{ name: a, share: 1, provider: demo }, { name: a, share: 1, provider: other }] } }",
  "82: another arm has this name",
);
problem(
  "no share",
  "{ split: { arms: [{ name: a, share: 0, provider: demo }, { name: b, share: 0, provider: other }] } }",
  "34: one arm at least needs a share above 0",
);
problem(
  "a provider beside a split",
  `{ provider: demo, split: { ${ARMS} } }`,
  "19: this stands at each of the arms of 'split'",
);
problem(
  "a canary beside a split",
  `{ split: { ${ARMS} }, canary: { provider: other } }`,
  "117: there is either 'split' or 'canary'",
);
problem(
  "sticky by a header that is not named",
  "{ provider: demo, canary: { provider: other, sticky: header } }",
  "70: this needs 'header' as well, the name of one",
);
problem(
  "sticky by a header that is not passed on",
  "{ provider: demo, canary: { provider: other, sticky: header, header: Authorization } }",
  "86: requests cannot go by this header, because it is not passed on",
);
problem(
  "a header that nothing is sticky by",
  "{ provider: demo, canary: { provider: other, header: x-a } }",
  "62: this is for 'sticky: header'",
);
problem(
  "a canary's provider that is none",
  "{ provider: demo, canary: { provider: otter } }",
  "55: there is no provider 'otter'; did you mean 'other'?",
);
problem(
  "a share that is no percentage",
  "{ provider: demo, canary: { provider: other, percent: 51 } }",
  "71: expected a whole number from 0 to 50",
);
problem(
  "an unknown key of rollback",
  "{ provider: demo, canary: { provider: other, rollback: { requsts: 50 } } }",
  "74: unknown key 'requsts'; did you mean 'requests'?",
);

problem(
  "a shadow's provider that is none",
  "{ provider: demo, shadow: { provider: othr } }",
  "55: there is no provider 'othr'; did you mean 'other'?",
);
problem("a shadow of nobody", "{ provider: demo, shadow: { percent: 5 } }", "35: 'provider' is required");
problem(
  "a share of copies beyond all",
  "{ provider: demo, shadow: { provider: other, percent: 101 } }",
  "71: expected a whole number from 0 to 100",
);

const routed = (arms: string) => `{ provider: demo, routes: [{ name: r, when: { stream: true }, ${arms} }] }`;

test("splits and canaries of routes that are right", () => {
  deepEqual(heads(routed(`split: { sticky: user, ${ARMS} }`)), []);
  deepEqual(heads(routed("provider: demo, canary: { provider: other, percent: 50 }")), []);
  const both = `split: { ${ARMS} }, routes: [{ name: r, when: { stream: true }, split: { ${ARMS} } }]`;
  deepEqual(heads(`{ ${both} }`), []);
});

problem(
  "an arm of a route with a provider that is none",
  routed("split: { arms: [{ name: a, share: 1, provider: demo }, { name: b, share: 1, provider: othr }] }"),
  "165: there is no provider 'othr'; did you mean 'other'?",
);
problem(
  "a provider beside the split of a route",
  routed(`provider: demo, split: { ${ARMS} }`),
  "79: this stands at each of the arms of 'split'",
);
problem(
  "a canary beside the split of a route",
  routed(`split: { ${ARMS} }, canary: { provider: other }`),
  "177: there is either 'split' or 'canary'",
);
problem(
  "two arms of a route with one name",
  routed("split: { arms: [{ name: a, share: 1, provider: demo }, { name: a, share: 1, provider: other }] }"),
  "142: another arm has this name",
);
problem(
  "a canary of a route without a stable side",
  routed("canary: { provider: other }"),
  "44: 'provider' is required",
);
problem(
  "the canary of a route sticky by a header that is not named",
  routed("provider: demo, canary: { provider: other, sticky: header }"),
  "130: this needs 'header' as well, the name of one",
);

test("arms of routes are counted with those of models", () => {
  const arms = Array.from({ length: SPLIT_ARMS_MAX }, (_, i) => `{ name: a${i}, share: 1, provider: demo }`);
  const route = (i: number) =>
    `{ name: r${i}, when: { header: { x-a: "${i}" } }, split: { arms: [${arms.join(", ")}] } }`;
  const routes = Array.from({ length: MODEL_ROUTES_MAX }, (_, i) => route(i));
  const one = `{ provider: demo, routes: [${routes.join(", ")}] }`;
  const count = Math.floor(ARMS_MAX / (SPLIT_ARMS_MAX * MODEL_ROUTES_MAX)) + 1;
  const text = `${BASE}models:\n${Array.from({ length: count }, (_, i) => `  m${i}: ${one}\n`).join("")}`;
  deepEqual(
    checkText("/nowhere/f.yaml", text, {}).problems.map(({ message }) => message),
    [`at most ${ARMS_MAX} arms are taken, not ${count * SPLIT_ARMS_MAX * MODEL_ROUTES_MAX}; a canary has two`],
  );
});

function modelOf(text: string): ModelConfig {
  const form = readForm(`${BASE}models: { chat: ${text} }\n`, FORM).form?.models["chat"];
  if (form === undefined) throw new Error("the model is not right");
  const targets = formTargets(form).map((target) => ({ ...target, model: target.model ?? "chat" }));
  return { targets, strategy: form.strategy, attempts: 1, arms: armsOf(form, 0) };
}

test("an arm has the targets that stand at it, and of the model what it does not say itself", () => {
  const { targets, arms } = modelOf(
    "{ strategy: weighted, split: { arms: [{ name: a, share: 9, targets: [{ provider: demo }, { provider: other }] }, { name: b, share: 1, provider: other, model: m, strategy: round_robin, attempts: 4 }] } }",
  );
  deepEqual(
    targets.map(({ provider, model }) => [provider, model]),
    [
      ["demo", "chat"],
      ["other", "chat"],
      ["other", "m"],
    ],
  );
  deepEqual(arms?.list, [
    { name: "a", share: 9, first: 0, count: 2, strategy: "weighted", attempts: 2, retries: true },
    { name: "b", share: 1, first: 2, count: 1, strategy: "round_robin", attempts: 4, retries: true },
  ]);
  equal(arms?.rollback, null);
});

test("a canary is an arm beside the stable side, and has the tries of both", () => {
  const { targets, arms } = modelOf(
    "{ provider: demo, attempts: 2, canary: { provider: other, model: next, percent: 7 } }",
  );
  equal(targets.length, 2);
  deepEqual(arms?.list, [
    { name: "stable", share: 93, first: 0, count: 1, strategy: "priority", attempts: 2, retries: true },
    { name: "canary", share: 7, first: 1, count: 1, strategy: "priority", attempts: 3, retries: true },
  ]);
  deepEqual(arms?.rollback, { errorPercent: 2, latencyPercent: 150, percentile: 95, requests: 100, windowMs: 300_000 });
});

test("a canary that is changed in any way is another one; what is beside it is not", () => {
  const keyOf = (text: string) => armKey({ alias: "chat", name: "chat" }, modelOf(text), 1);
  const key = keyOf("{ provider: demo, canary: { provider: other } }");
  equal(keyOf("{ provider: demo, model: changed, attempts: 2, canary: { provider: other, percent: 5 } }"), key);
  for (const changed of ["model: m", "percent: 6", "sticky: key", "rollback: { window: 1m }"])
    notEqual(keyOf(`{ provider: demo, canary: { provider: other, ${changed} } }`), key, changed);
});

test("arms of a model have their names as ever, and those of its routes others", () => {
  const text = `${BASE}models: { chat: { split: { ${ARMS} }, routes: [{ name: r, when: { stream: true }, split: { ${ARMS} } }, { name: s, when: { stream: false }, provider: demo, canary: { provider: other } }] } }\n`;
  const { config } = checkText("/nowhere/f.yaml", text, {});
  if (config === null) throw new Error("the file is right");
  const keys = armKeys(config).map((key) => JSON.parse(key).filter((part: unknown) => typeof part === "string"));
  deepEqual(keys.slice(0, 4), [
    ["chat", "a"],
    ["chat", "b"],
    ["chat", "chat/r", "a"],
    ["chat", "chat/r", "b"],
  ]);
  deepEqual(
    keys.slice(4).map((names: readonly string[]) => names.slice(0, 3)),
    [
      ["chat", "chat/s", "stable"],
      ["chat", "chat/s", "canary"],
    ],
  );
});
