/**
 * YAML text to the form that a schema describes, or everything that is wrong with it at its place. Supervisor and command
 * line. Pure.
 */
import { parseSource, plainValue, problemOf, type Source } from "./document.ts";
import { checkForm, type FormSchema } from "./finding.ts";
import type { Problem } from "./problem.ts";

const ALIASES_MULTIPLY = "aliases (*name) stand for aliases again and again; write the values out";

export interface FormReading<T> {
  /** For the places of later findings. */
  readonly source: Source;
  /** Null if there are `problems`. */
  readonly form: T | null;
  readonly problems: readonly Problem[];
}

export function readForm<T>(text: string, schema: FormSchema<T>): FormReading<T> {
  const { source, problems } = parseSource(text);
  if (problems.length > 0) return { source, form: null, problems };
  const plain = plainValue(source);
  if (plain === null) return { source, form: null, problems: [{ line: 1, column: 1, message: ALIASES_MULTIPLY }] };
  const { form, findings } = checkForm(plain.value, schema);
  return { source, form, problems: findings.map((finding) => problemOf(source, finding)) };
}
