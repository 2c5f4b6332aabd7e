/** What the file says of a provider's credentials: where each of them is. Supervisor and command line. Pure. */
import { z } from "zod";
import { CREDENTIALS_MAX } from "../base/limits.ts";
import { type Finding, findingAt } from "./finding.ts";
import { readCredentialName, readCredentialPath, readVariable } from "./scalar.ts";
import type { ProviderForm } from "./schema.ts";
import { scalar } from "./shape.ts";

const EXPECTED =
  "expected one of { env: NAME }, { file: PATH } or { systemd: NAME }: where the credential is, never itself";

export const CREDENTIAL = z
  .strictObject(
    {
      env: scalar(readVariable).meta({ expects: "NAME" }).optional().describe("The environment variable that has it."),
      file: scalar(readCredentialPath)
        .meta({ expects: "path" })
        .optional()
        .describe("A file that only the gateway can read. It begins with /, ./ or ../."),
      systemd: scalar(readCredentialName)
        .meta({ expects: "NAME" })
        .optional()
        .describe("A credential that the unit loads, LoadCredential=NAME:PATH."),
    },
    { error: (issue) => (issue.code === "unrecognized_keys" ? "env file systemd" : EXPECTED) },
  )
  .refine((sources) => Object.keys(sources).length === 1, EXPECTED);

export const CREDENTIALS = z.array(CREDENTIAL).min(1).max(CREDENTIALS_MAX);

export type CredentialForm = z.output<typeof CREDENTIAL>;

/** Where a provider's credentials are, each with its place in the file below the provider. */
export function sourcesOf(
  provider: ProviderForm & { type: "openai" },
): readonly { readonly path: readonly PropertyKey[]; readonly source: CredentialForm }[] {
  const { credential, credentials } = provider;
  if (credential !== undefined) return [{ path: ["credential"], source: credential }];
  return (credentials ?? []).map((source, index) => ({ path: ["credentials", index], source }));
}

/** The same for the operator: the place, never what is there. */
export function sourceText({ env, file, systemd }: CredentialForm): string {
  if (env !== undefined) return `the environment variable ${env}`;
  return file !== undefined ? `the file ${file}` : `systemd: ${systemd}`;
}

export function checkCredentials(name: string, provider: ProviderForm): readonly Finding[] {
  if (provider.type === "demo" || provider.credentials === undefined) return [];
  const path = ["providers", name, "credentials"];
  if (provider.credential !== undefined)
    return [{ ...findingAt(path, "either this or 'credential'; a list has all of them"), at: "key" }];
  const seen = new Set<string>();
  return provider.credentials.flatMap((source, index) => {
    const text = sourceText(source);
    const again = seen.has(text);
    seen.add(text);
    return again ? [findingAt([...path, index], "this credential is in the list already")] : [];
  });
}
