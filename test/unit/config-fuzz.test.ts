/** Whatever the file holds, loading it gives a Config or a ConfigError, soon, and shows no line that it should not. */
import { ok } from "node:assert/strict";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { writeFirstConfig } from "../../src/config/first.ts";
import { insertKeyEntry } from "../../src/config/key-entry.ts";
import { checkText, loadConfig } from "../../src/config/load.ts";
import { ConfigError, formatProblems } from "../../src/config/problem.ts";

const ROUNDS = 600;
const FILES = mkdtempSync(join(tmpdir(), "sluice-"));
const PIECES = [
  ..."\n\n\t :-,[]{}#&*!|>'\"%@`?~<=\\\0\u00e9\ud83d\ude00\ufeff\r",
  ...[
    "- ",
    ": ",
    "\n  ",
    "---\n",
    "...\n",
    "&a ",
    "*a",
    "<<: *a",
    "!!binary ",
    "null",
    "__proto__: ",
    "constructor",
    "99999999999999999999",
  ],
];

/** Numbers below `bound` from a seed (mulberry32), so that a failure can be repeated. */
function randomFrom(seed: number): (bound: number) => number {
  let state = seed;
  return (bound) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % bound;
  };
}

/** One change: a piece put in, a stretch taken out, doubled or moved, or a character replaced. */
function mutated(text: string, random: (bound: number) => number): string {
  const [at, length] = [random(text.length + 1), random(random(4) === 0 ? 200 : 8)];
  const piece = PIECES[random(PIECES.length)] ?? "";
  const cut = text.slice(at, at + length);
  const to = random(text.length + 1);
  const changes = [
    () => text.slice(0, at) + piece + text.slice(at),
    () => text.slice(0, at) + text.slice(at + length),
    () => text.slice(0, at) + cut + text.slice(at),
    () => text.slice(0, at) + piece + text.slice(at + 1),
    () => text.slice(0, to) + cut + text.slice(to),
  ];
  return changes[random(changes.length)]?.() ?? text;
}

function outcome(text: string): unknown {
  const path = join(FILES, "fuzz.yaml");
  writeFileSync(path, text);
  try {
    loadConfig(path, { OPENAI_API_KEY: "sk-1" });
    return null;
  } catch (error) {
    return error;
  }
}

function firstConfig(): string {
  const path = join(FILES, "first.yaml");
  writeFirstConfig(path, { OPENAI_API_KEY: "sk-1" });
  return readFileSync(path, "utf8");
}

/** Without its comments: most mutations would land in them. */
const BASE = firstConfig()
  .replaceAll(/^ *#.*\n/gm, "")
  .replaceAll(/\n{2,}/g, "\n");
const COMPLETE = readFileSync(join(import.meta.dirname, "../fixtures/config/complete.yaml"), "utf8");

test("mutations of a configuration never cause anything but a ConfigError", () => {
  let refused = 0;
  for (let seed = 1; seed <= ROUNDS; seed += 1) {
    const random = randomFrom(seed);
    let text = seed % 2 === 0 ? BASE : COMPLETE;
    for (let changes = 1 + random(4); changes > 0; changes -= 1) text = mutated(text, random);
    const error = outcome(text);
    if (error !== null) refused += 1;
    ok(error === null || error instanceof ConfigError, `seed ${seed}: ${error}`);
  }
  ok(refused > ROUNDS / 2, "the mutations are not worth much");
});

test("a key that is added to a mutated file is there afterwards, or the file was not edited", () => {
  const entry = { name: "new", hash: "c".repeat(64), expires: null, models: null };
  for (let seed = 1; seed <= ROUNDS / 2; seed += 1) {
    const text = mutated(BASE, randomFrom(seed));
    const edited = insertKeyEntry(text, entry);
    if (edited === null || checkText("/f.yaml", text, {}).form === null) continue;
    const { form, problems } = checkText("/f.yaml", edited, {});
    ok(form?.keys.at(-1)?.hash === entry.hash, `seed ${seed}: ${formatProblems("f", edited, problems)}`);
  }
});

test("deep, wide and self-referring files are refused in time", { timeout: 20_000 }, () => {
  const wide = Array.from({ length: 20_000 }, (_, index) => `  m${index}: { provider: demo }\n`).join("");
  const bomb = [
    "a: &a [x]\n",
    ...Array.from({ length: 20 }, (_, level) => `b${level}: &b${level} [*a, *a, *a]\n`),
  ].join("");
  for (const text of [
    "[".repeat(500_000),
    "{a: ".repeat(5_000),
    "- ".repeat(500_000),
    "a:\n".repeat(150_000),
    `models:\n${wide}`,
    bomb,
    "a: &a [*a]\n",
    "providers: &p { a: *p }\n",
  ]) {
    const error = outcome(text);
    ok(error instanceof ConfigError, `${text.slice(0, 20)}: ${error}`);
  }
});
