/**
 * A finding: what is wrong, by its path in the configuration; document.ts turns the path into line and column. Here they
 * are made from what the schema says. Supervisor and command line. Messages are our own words: they never hold a value.
 */
import { closest, distance } from "fastest-levenshtein";
import type { z } from "zod";
import { isSecretField, quoted } from "./secret.ts";

export interface Finding {
  readonly path: readonly PropertyKey[];
  /** Which end of `key: value` to point at. Something missing is pointed at where it should be. */
  readonly at: "key" | "value";
  readonly message: string;
  /** What was probably meant. */
  readonly suggestion?: string;
}

/** A finding about the value at `path`. */
export function findingAt(path: readonly PropertyKey[], message: string, suggestion?: string): Finding {
  return { path, at: "value", message, ...(suggestion === undefined ? {} : { suggestion }) };
}

/** The one of `known` that `text` is probably a slip of, if any. */
export function nearest(text: string, known: readonly string[]): string | undefined {
  if (known.length === 0 || text.length > 256) return undefined;
  const best = closest(text.toLowerCase(), known);
  const slipsMax = Math.min(Math.max(2, best.length / 3), best.length - 1);
  return distance(text.toLowerCase(), best.toLowerCase()) <= slipsMax ? best : undefined;
}

export type FormSchema<T> = z.ZodType<T>;

/** The form that `value` is, or everything that keeps it from being one. */
export function checkForm<T>(value: unknown, schema: FormSchema<T>): { form: T | null; findings: readonly Finding[] } {
  const result = schema.safeParse(value, { error: wording, reportInput: true });
  if (result.success) return { form: result.data, findings: [] };
  return { form: null, findings: result.error.issues.flatMap(findingsOf) };
}

const EXPECTED: Readonly<Record<string, string>> = {
  object: "expected a mapping (key: value)",
  record: "expected a mapping (key: value)",
  array: "expected a list",
  string: "expected a single value",
};

/** The words for issues that have none from the schema. */
function wording(issue: z.core.$ZodRawIssue): string {
  switch (issue.code) {
    case "invalid_type":
      if (issue.input === undefined) return `'${String(issue.path?.at(-1))}' is required`;
      return EXPECTED[issue.expected] ?? "this kind of value is not expected here";
    case "invalid_value":
      return `expected one of: ${issue.values.join(", ")}`;
    case "invalid_union":
      return "expected one of: openai, demo";
    case "too_small":
      return "an empty list is not taken; leave it out instead";
    case "too_big":
      return `at most ${String(issue.maximum)} of these are taken`;
    default:
      return "this value is not valid";
  }
}

function findingsOf(issue: z.core.$ZodIssue): readonly Finding[] {
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys.map((key) => unknownKey(issue.path, key, issue.message.split(" ")));
    case "invalid_key":
      return [{ path: issue.path, at: "key", message: issue.issues[0]?.message ?? issue.message }];
    case "invalid_value":
      return [findingAt(issue.path, issue.message, nearest(String(issue.input), issue.values.map(String)))];
    default:
      return [findingAt(issue.path, issue.message)];
  }
}

/** The schema's message for unknown keys is the list of the known ones. */
function unknownKey(path: readonly PropertyKey[], key: string, known: readonly string[]): Finding {
  const name = path.some(isSecretField) ? "" : quoted(key, "");
  const message = `unknown key ${name}`.trimEnd();
  return { ...findingAt([...path, key], message, nearest(key, known)), at: "key" };
}
