/**
 * Programmer errors. A failed assert means that a process can no longer trust its memory: it dies and the supervisor
 * replaces it. Never used for input, which is answered from the table in errors.ts.
 */
import { ok } from "node:assert";

/** Throws AssertionError with `message` when `condition` is false. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) ok(condition, message);
}
