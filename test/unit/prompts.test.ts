/** How many prompts a completion has. */
import { strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { promptsIn } from "../../src/pipeline/prompts.ts";

const BODIES: readonly [body: string, prompts: number][] = [
  ["{}", 1],
  ['{"prompt":"a"}', 1],
  ['{"prompt":["a","b"]}', 2],
  ['{"prompt"\t:\r\n[ "a" , "b", "c" ]}', 3],
  ['{"prompt":[[1,2],[3]]}', 2],
  ['{"prompt":[1,2,3]}', 1],
  ['{"prompt":[]}', 1],
  ['{"prompt":"a","suffix":"\\"prompt\\":[\\"b\\",\\"c\\"]"}', 1],
  ['{"metadata":{"prompt":["a","b"]},"prompt":"c"}', 1],
  ['{"metadata":{"prompt":"c"},"prompt":["a","b"]}', 2],
  ['{"prompt":["\\"prompt\\": [","b"]}', 2],
  ['{"prompt":["a","b"]', 1],
  ['{"prompt":[ ', 1],
  ['{"prompt" ', 1],
];

for (const [body, prompts] of BODIES)
  test(`${body} has ${prompts}`, () => strictEqual(promptsIn(Buffer.from(body)), prompts));

test("no body has one", () => strictEqual(promptsIn(null), 1));
