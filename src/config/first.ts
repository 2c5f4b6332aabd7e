/**
 * The first configuration: sluice.template.yaml with a fresh key, for a start without a file, and the configuration of the
 * package. Supervisor, and packaging. Never touches a file that exists. Lines of the template that begin with "@openai" are
 * settings when OPENAI_API_KEY is set and comments otherwise; "@demo" lines exist only when it is not; "@start" lines only
 * in a first start's file, "@package" lines only in the package's.
 */
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { CodedError } from "../base/errors.ts";
import { hashKey, newKey } from "./key.ts";

const TEMPLATE = new URL("sluice.template.yaml", import.meta.url);

/** Writes `path`, readable by its owner only. `key`: to be shown once; the file has its hash. Throws if `path` exists. */
export function writeFirstConfig(path: string, env: NodeJS.ProcessEnv): { key: string } {
  const key = newKey();
  const text = firstConfig(hashKey(key), env);
  try {
    const file = openSync(path, "wx", 0o600);
    try {
      writeFileSync(file, text);
    } finally {
      closeSync(file);
    }
  } catch (cause) {
    throw new CodedError("config_not_written", notWritten(path, cause), cause);
  }
  return { key };
}

function notWritten(path: string, cause: unknown): string {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown error";
  if (code === "EEXIST") return `The configuration file ${path} exists already and was left as it is.`;
  return `The configuration file ${path} could not be written (${code}).`;
}

function firstConfig(keyHash: string, env: NodeJS.ProcessEnv): string {
  const openai = (env["OPENAI_API_KEY"] ?? "") !== "";
  return fromTemplate({ openai, kind: "start" }).replace("@key_hash", keyHash);
}

/** The configuration that the package brings: without a key, which it makes apart from it when it is installed. */
export function packagedConfig(): string {
  return fromTemplate({ openai: false, kind: "package" });
}

interface Choice {
  readonly openai: boolean;
  readonly kind: "start" | "package";
}

function fromTemplate(choice: Choice): string {
  const lines = readFileSync(TEMPLATE, "utf8").split("\n");
  return lines.flatMap((line) => templateLine(line, choice)).join("\n");
}

/** The lines that one line of the template becomes. */
function templateLine(line: string, { openai, kind }: Choice): readonly string[] {
  const [, mark, text = ""] = /^@(openai|demo|start|package) ?(.*)$/.exec(line) ?? [];
  if (mark === undefined) return [line];
  if (mark === "openai") return [openai ? text : text.replace(/^( {2})?(?:# )?/, "$1# ")];
  const wanted = mark === "demo" ? !openai : mark === kind;
  return wanted ? [text] : [];
}
