/**
 * Lengths of functions, by their braces: a body is a block behind "=>" or behind the parenthesis of a parameter list.
 * Types are stripped first, so that a return type is not in between.
 */
import { stripTypeScriptTypes } from "node:module";
import { blank } from "./lexer.ts";
import type { SourceFile } from "./tree.ts";

export interface FunctionSize {
  readonly path: string;
  /** From 1: the line of its opening brace. */
  readonly line: number;
  /** From its opening to its closing brace, both included. */
  readonly lines: number;
}

/** A parenthesis behind one of these is not a parameter list. */
const STATEMENT = /\b(if|for|while|switch|catch|with|await)\s*$/;

export function functionsIn({ path, text }: SourceFile): FunctionSize[] {
  const { bare } = blank(stripTypeScriptTypes(text));
  const sizes: FunctionSize[] = [];
  const open: { readonly at: number; readonly isBody: boolean }[] = [];
  for (const { 0: brace, index } of bare.matchAll(/[{}]/g)) {
    if (brace === "{") {
      open.push({ at: index, isBody: isBody(bare, index) });
      continue;
    }
    const start = open.pop();
    if (start?.isBody)
      sizes.push({ path, line: lineOf(bare, start.at), lines: newlines(bare.slice(start.at, index)) + 1 });
  }
  return sizes;
}

function isBody(bare: string, brace: number): boolean {
  const before = bare.slice(0, brace).trimEnd();
  if (before.endsWith("=>")) return true;
  return before.endsWith(")") && !STATEMENT.test(bare.slice(0, opening(bare, before.length - 1)));
}

/** Index of the parenthesis that the one at `closing` closes. */
function opening(bare: string, closing: number): number {
  let depth = 0;
  for (let at = closing; at >= 0; at -= 1) {
    if (bare[at] === ")") depth += 1;
    if (bare[at] === "(") depth -= 1;
    if (depth === 0) return at;
  }
  return 0;
}

function lineOf(text: string, at: number): number {
  return newlines(text.slice(0, at)) + 1;
}

function newlines(text: string): number {
  return text.split("\n").length - 1;
}

/** The value that `share` of the sizes do not exceed. */
export function percentile(sizes: readonly FunctionSize[], share: number): number {
  const sorted = sizes.map(({ lines }) => lines).sort((a, b) => a - b);
  return sorted[Math.ceil(sorted.length * share) - 1] ?? 0;
}
