/**
 * Where a provider's credential is, and fetching it from there. Supervisor and command line. The value goes into a
 * header and nowhere else; what is said about a missing one names the place, never the value.
 */

import { join, resolve } from "node:path";
import { CodedError } from "../base/errors.ts";
import { CREDENTIAL_BYTES_MAX } from "../base/limits.ts";
import type { CredentialForm } from "./credentials.ts";
import { readTextFile } from "./file.ts";
import { Refusal, readHeaderValue } from "./scalar.ts";
import { quoted } from "./secret.ts";

/**
 * The credential, or why there is none. `fromService`: it comes from the environment that the service manager makes, so
 * a command run by hand cannot tell whether the service has it.
 */
export type Resolution =
  | { readonly value: string }
  | { readonly value: null; readonly fromService: boolean; readonly message: string };

/** Relative files are looked up in `directory`, that of the configuration. */
export function resolveCredential(source: CredentialForm, directory: string, env: NodeJS.ProcessEnv): Resolution {
  if (source.env !== undefined) return fromEnvironment(source.env, env);
  if (source.file !== undefined) return fromFile(resolve(directory, source.file));
  return fromSystemd(source.systemd ?? "", env["CREDENTIALS_DIRECTORY"]);
}

function missing(fromService: boolean, message: string): Resolution {
  return { value: null, fromService, message };
}

function fromEnvironment(name: string, env: NodeJS.ProcessEnv): Resolution {
  const value = env[name];
  if (value === undefined || value === "") {
    return missing(true, `the environment variable ${name} is not set; set it, or use { file: PATH }`);
  }
  return usable(value, true, `the environment variable ${name}`);
}

function fromFile(path: string): Resolution {
  return read(path, `the credential file ${quoted(path, "named here")}`, "create it, or name another", false);
}

function fromSystemd(name: string, directory: string | undefined): Resolution {
  const what = `the systemd credential ${quoted(name, "named here")}`;
  const advice = "add LoadCredential= to the unit and restart it";
  if (directory === undefined)
    return missing(true, `${what} is not there, as CREDENTIALS_DIRECTORY is not set; ${advice}`);
  return read(join(directory, name), what, advice, true);
}

function read(path: string, what: string, advice: string, fromService: boolean): Resolution {
  try {
    // Editors and `echo` end a file with a newline that is not part of the credential.
    const text = readTextFile(path, CREDENTIAL_BYTES_MAX).replace(/[\r\n]+$/, "");
    return usable(text, fromService, what);
  } catch (error) {
    if (error instanceof CodedError) return missing(fromService, `${what} ${error.message}; ${advice}`);
    throw error;
  }
}

function usable(value: string, fromService: boolean, what: string): Resolution {
  if (value === "") return missing(fromService, `${what} is empty`);
  if (!(readHeaderValue(value) instanceof Refusal)) return { value };
  return missing(fromService, `${what} has spaces at its ends or characters that a header cannot hold`);
}
