/**
 * What a configuration refers to outside of its file: credentials and certificate files, fetched once, with all that is
 * wrong about them. Supervisor and command line. Holds secrets for as long as a Config is being made.
 */

import { dirname, resolve } from "node:path";
import { CodedError } from "../base/errors.ts";
import { CA_FILE_BYTES_MAX } from "../base/limits.ts";
import { ReferredFiles } from "./certificate-files.ts";
import { resolveCredential } from "./credential.ts";
import { type CredentialForm, sourcesOf, sourceText } from "./credentials.ts";
import { readTextFile } from "./file.ts";
import { type Finding, findingAt } from "./finding.ts";
import { certificatesIn } from "./pem.ts";
import type { CredentialConfig, ProviderForm } from "./schema.ts";
import type { ProviderTls } from "./snapshot.ts";

type TlsForm = (ProviderForm & { type: "openai" })["tls"];

export class Outside {
  readonly findings: Finding[] = [];
  /** Credentials that the environment of this process lacks. */
  readonly missing: Finding[] = [];
  /** What works now and is probably not meant. */
  readonly warnings: Finding[] = [];
  /** Where relative paths begin: the folder of the configuration file. */
  readonly directory: string;
  readonly #env: NodeJS.ProcessEnv;

  constructor(path: string, env: NodeJS.ProcessEnv) {
    this.directory = resolve(dirname(path));
    this.#env = env;
  }

  pathOf(file: string): string {
    return resolve(this.directory, file);
  }

  credentials(name: string, provider: ProviderForm & { type: "openai" }): readonly CredentialConfig[] {
    return sourcesOf(provider).flatMap(({ path, source }) => {
      const value = this.#secret(["providers", name, ...path], source);
      return value === null ? [] : [credentialHeader(provider.auth, value, sourceText(source))];
    });
  }

  /** What the proxy of a provider is sent (RFC 7617). */
  proxyAuthorization(name: string, { proxy, proxy_password }: ProviderForm & { type: "openai" }): string | null {
    const password = this.#secret(["providers", name, "proxy_password"], proxy_password);
    if (password === null || proxy === undefined) return null;
    const user = decodeURIComponent(new URL(proxy).username);
    return `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
  }

  #secret(path: readonly PropertyKey[], source: CredentialForm | undefined): string | null {
    if (source === undefined) return null;
    const resolution = resolveCredential(source, this.directory, this.#env);
    if (resolution.value !== null) return resolution.value;
    const list = resolution.fromService ? this.missing : this.findings;
    list.push(findingAt(path, resolution.message));
    return null;
  }

  providerTls(name: string, tls: TlsForm): ProviderTls {
    const path = ["providers", name, "tls"];
    const complete = tls.cert_file !== undefined && tls.key_file !== undefined;
    return {
      ca: this.#certificates(name, tls.ca_file),
      client: complete ? new ReferredFiles(path, tls, this).certified() : null,
      serverName: tls.server_name ?? null,
    };
  }

  /** PEM text of certificate authorities. */
  #certificates(name: string, file: string | undefined): string | null {
    if (file === undefined) return null;
    const finding = (message: string) => findingAt(["providers", name, "tls", "ca_file"], message);
    try {
      const pem = readTextFile(this.pathOf(file), CA_FILE_BYTES_MAX);
      if (certificatesIn(pem) === null)
        this.findings.push(finding("the file holds no PEM certificates that can be read"));
      return pem;
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      this.findings.push(finding(`the file ${error.message}`));
      return null;
    }
  }
}

function credentialHeader(auth: "bearer" | "api-key" | "x-api-key", value: string, source: string): CredentialConfig {
  if (auth === "bearer") return { header: "authorization", value: `Bearer ${value}`, source };
  return { header: auth, value, source };
}
