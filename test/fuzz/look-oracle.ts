/**
 * What a scan that looks for more must find, by JSON.parse; and documents that have much of it, spelled in all ways. Slow and obvious on
 * purpose.
 */
import { bitsOf, type Feature } from "../../src/base/features.ts";
import type { Random } from "./random.ts";

export const LOOKED_FOR = ["effort", "user", "n", "tools", "a/b", "nobody"];

type Plain = Readonly<Record<string, unknown>>;

const ROOTS = [
  "model",
  "messages",
  "input",
  "prompt",
  "tools",
  "functions",
  "response_format",
  "text",
  "stream_options",
  "other",
];
const TYPES = ["image_url", "input_image", "json_object", "json_schema", "text", "image", "j", "i"];
const SCALARS = ["high", "", "é\u0000", "type", "image_url", "x".repeat(70), 0, -1.5e3, true, false, null];

function isPlain(value: unknown): value is Plain {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A document without repeated names. */
export function lookDocument(random: Random): Plain {
  const names = [...ROOTS, ...LOOKED_FOR].filter(() => random.chance(0.5));
  const shuffled = names.sort(() => random.unit() - 0.5);
  return Object.fromEntries(shuffled.map((name) => [name, rootValue(random, name)]));
}

function rootValue(random: Random, name: string): unknown {
  if (name === "model") return "m";
  if (name === "stream_options") return random.pick([null, {}, { include_usage: true }]);
  return value(random, 4);
}

function value(random: Random, depth: number): unknown {
  const kind = depth === 0 ? 0 : random.below(4);
  if (kind < 1) return random.pick(SCALARS);
  if (kind === 1) return random.several(4, () => value(random, depth - 1));
  const entries = random.several(4, (): [string, unknown] => {
    const name = random.pick(["type", "content", "format", "image_url"]);
    return [name, name === "type" && random.chance(0.8) ? random.pick(TYPES) : value(random, depth - 1)];
  });
  return Object.fromEntries(entries);
}

/** As JSON, with white space and escapes that change nothing. */
export function spelled(random: Random, given: unknown): string {
  const space = () => random.pick(["", "", "", " ", "\n\t", " ".repeat(random.below(70))]);
  if (typeof given === "string") return text(random, given);
  if (Array.isArray(given))
    return `[${given.map((one) => space() + spelled(random, one) + space()).join(",")}${space()}]`;
  if (!isPlain(given)) return JSON.stringify(given);
  const members = Object.entries(given).map(
    ([name, one]) => `${space()}${text(random, name)}${space()}:${space()}${spelled(random, one)}${space()}`,
  );
  return `{${members.join(",")}${space()}}`;
}

function text(random: Random, plain: string): string {
  if (random.chance(0.7)) return JSON.stringify(plain);
  const units = plain.split("").map((unit) => {
    const spelling = `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
    return random.chance(0.5) ? spelling : JSON.stringify(unit).slice(1, -1);
  });
  return `"${units.join("")}"`;
}

export function featuresOf(document: Plain): number {
  const has: Record<Feature, boolean> = {
    tools: isFilled(document["tools"]) || isFilled(document["functions"]),
    images: hasImage(document["messages"]) || hasImage(document["input"]),
    json_object: formatsOf(document).includes("json_object"),
    json_schema: formatsOf(document).includes("json_schema"),
  };
  return bitsOf((Object.keys(has) as Feature[]).filter((name) => has[name]));
}

export function isListed(document: Plain): boolean {
  return Array.isArray(document["input"]) || Array.isArray(document["prompt"]);
}

function isFilled(list: unknown): boolean {
  return Array.isArray(list) && list.length > 0;
}

function hasImage(given: unknown): boolean {
  if (Array.isArray(given)) return given.some(hasImage);
  if (!isPlain(given)) return false;
  return given["type"] === "image_url" || given["type"] === "input_image" || Object.values(given).some(hasImage);
}

function formatsOf({ response_format: format, text: texts }: Plain): unknown[] {
  const inTexts = typeof texts === "object" && texts !== null ? Object.values(texts) : [];
  return [format, ...inTexts].map((one) => (isPlain(one) ? one["type"] : null));
}
