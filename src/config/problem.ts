/**
 * A problem of a configuration file at its line and column, the error that carries them, and how people see them.
 * Supervisor and command line. A line of the file is only shown when excerpt.ts says that it holds no secret.
 */
import { CodedError } from "../base/errors.ts";
import { excerpts } from "./excerpt.ts";

export interface Problem {
  /** From 1. */
  readonly line: number;
  /** From 1, in UTF-16 units as editors count them. */
  readonly column: number;
  readonly message: string;
  /** What was probably meant. */
  readonly suggestion?: string;
}

/** More than these are only counted: the first ones usually cause the rest. */
const PROBLEMS_SHOWN_MAX = 20;

/** A configuration that cannot be used. `message` is complete and for people; `problems` is empty if it was not readable. */
export class ConfigError extends CodedError {
  readonly problems: readonly Problem[];

  constructor(code: string, message: string, problems: readonly Problem[], cause?: unknown) {
    super(code, message, cause);
    this.name = "ConfigError";
    this.problems = problems;
  }
}

/** One `file:line:column: message` per problem in the order of the file, each with its line and a caret where that is safe. */
export function formatProblems(file: string, text: string, problems: readonly Problem[]): string {
  const ordered = problems.toSorted((a, b) => a.line - b.line || a.column - b.column);
  const shown = ordered.slice(0, PROBLEMS_SHOWN_MAX);
  const lines = excerpts(text, shown);
  const parts = shown.map((problem, index) => formatProblem(file, problem, lines[index] ?? null));
  const hidden = ordered.length - shown.length;
  return [...parts, ...(hidden > 0 ? [`and ${hidden} more`] : [])].join("\n");
}

function formatProblem(file: string, problem: Problem, line: string | null): string {
  const { suggestion, message } = problem;
  const meant = suggestion === undefined ? "" : `; did you mean '${suggestion}'?`;
  const head = `${file}:${problem.line}:${problem.column}: ${message}${meant}`;
  if (line === null) return head;
  // Tabs stay tabs, so that the caret stands under its character.
  const pad = line.slice(0, problem.column - 1).replaceAll(/[^\t]/g, " ");
  return `${head}\n    ${line}\n    ${pad}^`;
}
