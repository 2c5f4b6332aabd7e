/**
 * Just enough of a lexer to look at TypeScript without its comments and strings. What is blanked becomes spaces, so that
 * lines and columns stay. Templates count as strings with all that is in them.
 */

export interface Blanked {
  /** Without comments. */
  readonly uncommented: string;
  /** Without comments, and with the content of strings, templates and regular expressions blanked. */
  readonly bare: string;
}

/** One alternative per kind of token that may hide another. The order is that of precedence. */
const TOKENS =
  /(?<comment>\/\/[^\n]*|\/\*[\s\S]*?\*\/)|(?<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|(?<template>`)|(?<slash>\/)/g;
const REGEX = /\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[dgimsuvy]*/y;
/** A slash after one of these begins a regular expression, after anything else it divides. */
const BEFORE_REGEX = /(?:[=(,:;!&|?{}[+\-*%<>~^]|\breturn|\btypeof|\bcase|\bin|\bof|=>|^)\s*$/;

export function blank(source: string): Blanked {
  let [uncommented, bare, at] = ["", "", 0];
  const copy = (to: number) => {
    uncommented += source.slice(at, to);
    bare += source.slice(at, to);
    at = to;
  };
  for (;;) {
    TOKENS.lastIndex = at;
    const match = TOKENS.exec(source);
    if (match === null) break;
    copy(match.index);
    const end = endOf(source, match, bare);
    const token = source.slice(at, end);
    const isComment = match.groups?.["comment"] !== undefined;
    uncommented += isComment ? spaces(token) : token;
    bare += token.length === 1 ? token : spaces(token);
    at = end;
  }
  copy(source.length);
  return { uncommented, bare };
}

/** Where the token that begins with the match ends. */
function endOf(source: string, match: RegExpExecArray, before: string): number {
  if (match.groups?.["template"] !== undefined) return templateEnd(source, match.index + 1);
  if (match.groups?.["slash"] === undefined) return match.index + match[0].length;
  REGEX.lastIndex = match.index;
  const regex = BEFORE_REGEX.test(before.slice(-40)) ? REGEX.exec(source) : null;
  return match.index + (regex?.[0].length ?? 1);
}

/** Behind the closing backtick; templates inside of ${} are skipped as a whole. */
function templateEnd(source: string, from: number): number {
  let at = from;
  let depth = 0;
  while (at < source.length) {
    const char = source[at];
    at += 1;
    if (char === "\\") at += 1;
    else if (char === "$" && source[at] === "{" && depth === 0) depth = 1;
    else if (depth > 1 && char === "}") depth -= 1;
    else if (depth > 0 && char === "{") depth += 1;
    else if (depth > 0 && char === "`") at = templateEnd(source, at);
    else if (depth === 0 && char === "`") return at;
    if (depth === 1 && char === "}") depth = 0;
  }
  return at;
}

function spaces(text: string): string {
  return text.replace(/[^\n]/g, " ");
}
