/**
 * The file that `keys_file` names: keys that programs add, apart from the configuration that people edit. Supervisor and
 * command line. Its keys come after those of the configuration; what is wrong with them is a finding about `keys_file`
 * that says the place in the other file. Messages hold nothing of its text.
 */
import { CodedError } from "../base/errors.ts";
import { CONFIG_BYTES_MAX } from "../base/limits.ts";
import { problemOf, type Source } from "./document.ts";
import { readTextFile } from "./file.ts";
import { type Finding, findingAt } from "./finding.ts";
import { readForm } from "./form.ts";
import type { Problem } from "./problem.ts";
import { type Form, KEYS_FORM } from "./schema.ts";

export class KeysFile {
  readonly keys: Form["keys"];
  readonly findings: readonly Finding[];
  readonly #path: string;
  readonly #source: Source | null;

  /** `text`: what it is to hold, if that is not what it holds. */
  constructor(path: string, text: string | null) {
    this.#path = path;
    const read = text ?? readText(path);
    if (read instanceof CodedError) {
      this.keys = [];
      this.findings = [findingAt(["keys_file"], `the file ${read.message}`)];
      this.#source = null;
      return;
    }
    const { form, source, problems } = readForm(read, KEYS_FORM);
    this.keys = form?.keys ?? [];
    this.findings = problems.map((problem) => this.#finding(problem));
    this.#source = source;
  }

  /** A finding about the form with these keys at the end of its own `own` ones, at a place that can be shown. */
  located(finding: Finding, own: number): Finding {
    const [section, index, ...rest] = finding.path;
    if (this.#source === null || section !== "keys" || typeof index !== "number" || index < own) return finding;
    return this.#finding(problemOf(this.#source, { ...finding, path: ["keys", index - own, ...rest] }));
  }

  #finding({ line, column, message, suggestion }: Problem): Finding {
    return findingAt(["keys_file"], `${this.#path}:${line}:${column}: ${message}`, suggestion);
  }
}

function readText(path: string): string | CodedError {
  try {
    return readTextFile(path, CONFIG_BYTES_MAX);
  } catch (error) {
    if (error instanceof CodedError) return error;
    throw error;
  }
}
