/** The pieces that schemas of the configuration are made of. Supervisor and command line. Pure. */
import { z } from "zod";
import { type Read, Refusal } from "./scalar.ts";

/**
 * A mapping with exactly these keys. The message of its unknown-key issue is the list of the known keys, out of which
 * finding.ts makes the suggestion.
 */
export function mapping<S extends z.ZodRawShape>(shape: S) {
  return z.strictObject(shape, {
    error: (issue) => (issue.code === "unrecognized_keys" ? Object.keys(shape).join(" ") : undefined),
  });
}

export function scalar<T>(read: Read<T>) {
  return z.string().transform((text, context): T => {
    const value = read(text);
    if (!(value instanceof Refusal)) return value;
    context.issues.push({ code: "custom", message: value.message, input: text });
    return z.NEVER;
  });
}

/** A mapping or list that may be absent, or have all of its entries commented out. */
export function section<T extends z.ZodType>(schema: T, empty: [] | Record<string, never>) {
  return z.preprocess((value) => (value === "" ? empty : value), schema).prefault(empty);
}
