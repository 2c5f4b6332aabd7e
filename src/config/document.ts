/**
 * The YAML text as a document that knows its positions: syntax, duplicate keys and aliases are checked here, and the path
 * of a finding becomes line and column. Supervisor and command line. Every scalar stays text (the failsafe schema): what
 * it means is the business of schema.ts. Messages are our own, because the library's repeat pieces of the text.
 */

import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  visit,
  type YAMLError,
  type YAMLMap,
} from "yaml";
import { CONFIG_ALIASES_MAX, CONFIG_NESTING_MAX } from "../base/limits.ts";
import type { Finding } from "./finding.ts";
import type { Problem } from "./problem.ts";
import { isSecretField, quoted } from "./secret.ts";

export interface Source {
  readonly document: Document.Parsed;
  readonly lines: LineCounter;
}

/** Never throws; a text with `problems` has no usable value. */
export function parseSource(text: string): { source: Source; problems: readonly Problem[] } {
  const tooDeep = deepOffset(text);
  if (tooDeep !== null) return { source: parsed(""), problems: [nestingProblem(text, tooDeep)] };
  const source = parsed(text);
  const { errors, warnings } = source.document;
  const syntax = [...errors, ...warnings].map((error) => syntaxProblem(source, error));
  return { source, problems: syntax.length > 0 ? syntax : treeProblems(source) };
}

function parsed(text: string): Source {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    schema: "failsafe",
    prettyErrors: false,
    lineCounter: lines,
    // Its own check compares each key with all others: 10,000 models would take seconds. See `keyProblems`.
    uniqueKeys: false,
    stringKeys: true,
  });
  return { document, lines };
}

/** Where brackets, indicators on one line, or indentation nest too deeply; null: nowhere. An estimate: it skips no text. */
function deepOffset(text: string): number | null {
  const indicators = text.search(/(?:[-?:][ \t]+){64}|^[ \t]{256}/m);
  if (indicators !== -1) return indicators;
  let depth = 0;
  for (const { 0: bracket, index } of text.matchAll(/[[\]{}]/g)) {
    depth = Math.max(0, depth + (bracket === "[" || bracket === "{" ? 1 : -1));
    if (depth > CONFIG_NESTING_MAX) return index;
  }
  return null;
}

function nestingProblem(text: string, offset: number): Problem {
  const before = text.slice(0, offset).split("\n");
  const column = (before.at(-1)?.length ?? 0) + 1;
  return { line: before.length, column, message: `this is nested too deeply (at most ${CONFIG_NESTING_MAX} levels)` };
}

/** The plain value of a source without problems: mappings, lists and text. Null: its aliases multiply beyond the bound. */
export function plainValue(source: Source): { readonly value: unknown } | null {
  try {
    return { value: source.document.toJS({ maxAliasCount: CONFIG_ALIASES_MAX }) };
  } catch (error) {
    if (error instanceof ReferenceError) return null;
    throw error;
  }
}

/** The finding at its place; a path that leads to nothing ends at its last part that exists. */
export function problemOf(source: Source, finding: Finding): Problem {
  let key: unknown = null;
  let node: unknown = source.document.contents;
  for (const part of finding.path) {
    const found = child(resolved(source, node), part);
    if (found === undefined) return problemAt(source, offsetOf(key) ?? offsetOf(node), finding);
    key = found.key;
    node = found.node;
  }
  const [first, second] = finding.at === "key" ? [key, node] : [node, key];
  return problemAt(source, offsetOf(first) ?? offsetOf(second), finding);
}

function child(parent: unknown, part: PropertyKey): { key: unknown; node: unknown } | undefined {
  if (isSeq(parent))
    return typeof part === "number" && part in parent.items ? { key: null, node: parent.items[part] } : undefined;
  // A single one may stand for a list of one.
  if (part === 0) return { key: null, node: parent };
  if (!isMap(parent)) return undefined;
  const pair = parent.items.find(({ key }) => isScalar(key) && key.value === part);
  return pair && { key: pair.key, node: pair.value };
}

function resolved(source: Source, node: unknown): unknown {
  return isAlias(node) ? node.resolve(source.document) : node;
}

function offsetOf(node: unknown): number | undefined {
  return (node as Node | null)?.range?.[0];
}

function problemAt(
  source: Source,
  offset: number | undefined,
  about: Pick<Finding, "message" | "suggestion">,
): Problem {
  const { line, col } = source.lines.linePos(offset ?? 0);
  const { message, suggestion } = about;
  return {
    line: Math.max(line, 1),
    column: Math.max(col, 1),
    message,
    ...(suggestion === undefined ? {} : { suggestion }),
  };
}

const SYNTAX: Readonly<Partial<Record<YAMLError["code"], string>>> = {
  BAD_DQ_ESCAPE: "this escape is not valid between double quotes; single quotes take a backslash as it is",
  BAD_INDENT: "the indentation does not fit the lines above",
  BAD_SCALAR_START: "a text cannot begin with this character; put it between quotes",
  BLOCK_AS_IMPLICIT_KEY: "a second ': ' in one value; put the value between quotes, or begin a new line",
  BLOCK_IN_FLOW: "only { }, [ ] and single values can stand between brackets",
  MISSING_CHAR: "something is missing here: a closing quote or bracket, a comma, or the space after ':'",
  MULTILINE_IMPLICIT_KEY: "a key has to be on one line; is there a ':' missing?",
  MULTIPLE_DOCS: "a configuration is one document; remove the second '---'",
  NON_STRING_KEY: "a key has to be a single text",
  RESOURCE_EXHAUSTION: "this is nested too deeply",
  TAB_AS_INDENT: "tabs cannot indent YAML; use spaces",
  TAG_RESOLVE_FAILED: "tags (!name) are not taken",
};

function syntaxProblem(source: Source, error: YAMLError): Problem {
  return problemAt(source, error.pos[0], { message: SYNTAX[error.code] ?? "this is not valid YAML" });
}

/** What is valid YAML, yet not a configuration: duplicate and strange keys, and references that lead nowhere or are too many. */
function treeProblems(source: Source): readonly Problem[] {
  const problems: Problem[] = [];
  const aliases: Alias[] = [];
  visit(source.document, {
    Map: (_, map, ancestors) => {
      for (const problem of keyProblems(source, map, hiddenBelow(ancestors))) problems.push(problem);
    },
    Alias: (_, alias) => {
      aliases.push(alias);
    },
  });
  return [...problems, ...aliasProblems(source, aliases)];
}

/** Whether a field that may hold a secret is among the ancestors. */
function hiddenBelow(ancestors: readonly unknown[]): boolean {
  return ancestors.some((ancestor) => {
    const key = (ancestor as { key?: unknown }).key;
    return isScalar(key) && isSecretField(String(key.value));
  });
}

function keyProblems(source: Source, map: YAMLMap, hidden: boolean): readonly Problem[] {
  const problems: Problem[] = [];
  const seen = new Set<unknown>();
  for (const { key } of map.items) {
    const name = isScalar(key) ? key.value : undefined;
    const shown = hidden ? "this key" : quoted(String(name), "this key");
    if (typeof name !== "string")
      problems.push(problemAt(source, offsetOf(key ?? map), { message: "a key has to be a text" }));
    else if (name === "__proto__")
      problems.push(problemAt(source, offsetOf(key), { message: "this name is reserved" }));
    else if (seen.has(name)) problems.push(problemAt(source, offsetOf(key), { message: `${shown} is given twice` }));
    seen.add(name);
  }
  return problems;
}

function aliasProblems(source: Source, aliases: readonly Alias[]): readonly Problem[] {
  const excess = aliases[CONFIG_ALIASES_MAX];
  if (excess)
    return [
      problemAt(source, offsetOf(excess), { message: `at most ${CONFIG_ALIASES_MAX} references (*name) are taken` }),
    ];
  const lost = aliases.filter((alias) => !alias.resolve(source.document));
  return lost.map((alias) =>
    problemAt(source, offsetOf(alias), { message: "there is no anchor (&name) of this name above" }),
  );
}
