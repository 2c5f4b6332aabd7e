/**
 * What entries of `rate_limits` and of `budgets` have in common: for which keys and models they are, and what is wrong with these and with
 * their names. Supervisor and command line. Pure.
 */
import { z } from "zod";
import { KEYS_MAX, MODEL_BYTES_MAX, MODELS_MAX } from "../base/limits.ts";
import { type Finding, findingAt, nearest } from "./finding.ts";
import { readName } from "./scalar.ts";
import type { Form } from "./schema.ts";
import { quoted } from "./secret.ts";
import { scalar } from "./shape.ts";
import { KEY_LABEL_BYTES } from "./snapshot.ts";

type Section = "rate_limits" | "budgets";

interface Entry {
  readonly name?: string | undefined;
  readonly scope: readonly string[];
  readonly keys?: readonly string[] | undefined;
  readonly models?: readonly string[] | undefined;
}

export const APPLIES_FIELDS = {
  keys: z
    .array(scalar(readName(KEY_LABEL_BYTES - 1)))
    .min(1)
    .max(KEYS_MAX)
    .meta({ expects: "list of keys" })
    .optional()
    .describe("The only keys that it is for, by their names; without it, all."),
  models: z
    .array(scalar(readName(MODEL_BYTES_MAX)))
    .min(1)
    .max(MODELS_MAX)
    .meta({ expects: "list of models" })
    .optional()
    .describe("The only models that it is for, by their names here; without it, all."),
};

/** What an entry is known by. */
export function nameOf({ name, scope }: Entry): string {
  return name ?? (scope.length === 0 ? "all" : [...scope].sort().join("+"));
}

/** Keys and models that there are not. */
export function unknownNames(form: Form, section: Section, { keys = [], models = [] }: Entry, index: number) {
  const unknown = (part: "keys" | "models", list: readonly string[], known: readonly string[]): Finding[] => {
    const there = new Set(known);
    return list.flatMap((name, position) => {
      if (there.has(name)) return [];
      const message = `there is no ${part === "keys" ? "key" : "model"} ${quoted(name, "of this name")}`;
      return [findingAt([section, index, part, position], message, nearest(name, known))];
    });
  };
  const keyNames = form.keys.map(({ name }) => name);
  return [...unknown("keys", keys, keyNames), ...unknown("models", models, Object.keys(form.models))];
}

/** State and metrics are found by the name. `what`: "rule", "budget". */
export function sameNames(section: Section, entries: readonly Entry[], what: string): readonly Finding[] {
  const seen = new Set<string>();
  return entries.flatMap((entry, index) => {
    const name = nameOf(entry);
    const again = seen.has(name);
    seen.add(name);
    const message =
      entry.name === undefined
        ? `another ${what} counts the same apart; give this one a 'name'`
        : `another ${what} has this name`;
    return again ? [findingAt([section, index, entry.name === undefined ? "scope" : "name"], message)] : [];
  });
}
