/**
 * The configuration file to a `Config`: reads, validates, resolves credentials and certificate files. Supervisor, at
 * start and reload, and command line. A Config that comes out of here needs no further check and no further file.
 */
import { CodedError } from "../base/errors.ts";
import { CONFIG_BYTES_MAX } from "../base/limits.ts";
import { configOf } from "./assemble.ts";
import { problemOf } from "./document.ts";
import { readTextFile } from "./file.ts";
import type { Finding } from "./finding.ts";
import { readForm } from "./form.ts";
import { KeysFile } from "./keys-file.ts";
import { Outside } from "./outside.ts";
import { ConfigError, formatProblems, type Problem } from "./problem.ts";
import { checkReferences } from "./references.ts";
import { type Config, FORM, type Form } from "./schema.ts";
import { warningsOf } from "./warnings.ts";

/** A file as read, valid or not. */
export interface Reading {
  readonly path: string;
  readonly text: string;
  /** Null if there are `problems`. Its keys are those of `keys_file` as well. */
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

/** The same for a text that is to be written to `path`, or to its `keys_file`. */
export function checkText(path: string, text: string, env: NodeJS.ProcessEnv, keysText: string | null = null): Reading {
  const { form: own, source, problems } = readForm(text, FORM);
  if (own === null) return { path, text, problems, form: null, config: null, missing: [], warnings: [] };
  const outside = new Outside(path, env);
  const keysFile = own.keys_file === undefined ? null : new KeysFile(outside.pathOf(own.keys_file), keysText);
  const form = keysFile === null ? own : { ...own, keys: [...own.keys, ...keysFile.keys] };
  const config = configOf(form, outside);
  const located = (list: readonly Finding[]) =>
    list.map((finding) => problemOf(source, keysFile?.located(finding, own.keys.length) ?? finding));
  const wrong = located([...checkReferences(form), ...outside.findings, ...(keysFile?.findings ?? [])]);
  return {
    path,
    text,
    missing: located(outside.missing),
    warnings: located([...warningsOf(form), ...outside.warnings]),
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
