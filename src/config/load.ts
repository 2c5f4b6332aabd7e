/**
 * The configuration file to a `Config`: reads, validates, resolves credentials and certificate files. Supervisor, at
 * start and reload, and command line. A Config that comes out of here needs no further check and no further file.
 */
import { CodedError } from "../base/errors.ts";
import { CONFIG_BYTES_MAX } from "../base/limits.ts";
import { configOf } from "./assemble.ts";
import { parseSource, plainValue, problemOf } from "./document.ts";
import { readTextFile } from "./file.ts";
import { checkForm, type Finding } from "./finding.ts";
import { Outside } from "./outside.ts";
import { ConfigError, formatProblems, type Problem } from "./problem.ts";
import { checkReferences } from "./references.ts";
import type { Config, Form } from "./schema.ts";
import { warningsOf } from "./warnings.ts";

const ALIASES_MULTIPLY = "aliases (*name) stand for aliases again and again; write the values out";

/** A file as read, valid or not. */
export interface Reading {
  readonly path: string;
  readonly text: string;
  /** Null if there are `problems`. */
  readonly form: Form | null;
  readonly config: Config | null;
  readonly problems: readonly Problem[];
  /** Credentials that the environment of this process lacks; that of the service may have them. */
  readonly missing: readonly Problem[];
  /** What the file probably does not mean; it can be used all the same. */
  readonly warnings: readonly Problem[];
}

/** What it takes to use the file, without throwing for what is in it. Throws ConfigError if it cannot be read. */
export function readConfig(path: string, env: NodeJS.ProcessEnv): Reading {
  return checkText(path, readText(path), env);
}

/** The same for a text that is to be written to `path`. */
export function checkText(path: string, text: string, env: NodeJS.ProcessEnv): Reading {
  const { source, problems } = parseSource(text);
  const base = { path, text, form: null, config: null, missing: [], warnings: [] };
  if (problems.length > 0) return { ...base, problems };
  const plain = plainValue(source);
  if (plain === null) return { ...base, problems: [{ line: 1, column: 1, message: ALIASES_MULTIPLY }] };
  const { form, findings } = checkForm(plain.value);
  const located = (list: readonly Finding[]) => list.map((finding) => problemOf(source, finding));
  if (form === null) return { ...base, problems: located(findings) };
  const outside = new Outside(path, env);
  const config = configOf(form, outside);
  const wrong = located([...checkReferences(form), ...outside.findings]);
  const missing = located(outside.missing);
  return {
    path,
    text,
    missing,
    warnings: located(warningsOf(form)),
    problems: wrong,
    form: wrong.length > 0 ? null : form,
    config: wrong.length > 0 ? null : config,
  };
}

/** The configuration in `path`. Throws ConfigError, whose message shows every problem with its place. */
export function loadConfig(path: string, env: NodeJS.ProcessEnv): Config {
  const { text, config, problems, missing } = readConfig(path, env);
  const all = [...problems, ...missing];
  if (config === null || all.length > 0) throw new ConfigError("config_invalid", formatProblems(path, text, all), all);
  return config;
}

function readText(path: string): string {
  try {
    return readTextFile(path, CONFIG_BYTES_MAX);
  } catch (cause) {
    const reason = cause instanceof CodedError ? cause.message : "could not be read";
    throw new ConfigError("config_unreadable", `The configuration file ${path} ${reason}.`, [], cause);
  }
}
