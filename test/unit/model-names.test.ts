/** Names of models: always the text of the bytes, whatever was read before. */
import { strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { ModelNames } from "../../src/pipeline/model-names.ts";

function read(names: ModelNames, text: string): string {
  const bytes = Buffer.from(`"${text}"`);
  return names.read(bytes, 1, bytes.length - 1);
}

test("every name is its own, the second time, too, when many share places", () => {
  const names = new ModelNames();
  const texts = Array.from({ length: 2_000 }, (_, i) => `model-${i.toString(36)}${"x".repeat(i % 70)}`);
  for (const text of [...texts, ...texts]) strictEqual(read(names, text), text);
});

test("a name that is asked for again is the same string, so its hash is known", () => {
  const names = new ModelNames();
  const made = Array.from({ length: 100 }, () => read(names, "gpt-4o"));
  strictEqual(new Set(made).size, 1);
  strictEqual(read(names, "gpt-4"), "gpt-4");
  strictEqual(read(names, ""), "");
});

test("other scripts, and bytes that are no text, are read as Buffer reads them", () => {
  const names = new ModelNames();
  for (const bytes of [
    Buffer.from("é"),
    Buffer.from([0xe9]),
    Buffer.from("é"),
    Buffer.from([0xc3]),
    Buffer.from("Ã"),
  ]) {
    strictEqual(names.read(bytes, 0, bytes.length), bytes.toString("utf8"));
  }
});
