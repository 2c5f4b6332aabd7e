/**
 * Certificates and private keys that the configuration refers to, of listeners and of providers. All of it is checked here,
 * so that a worker cannot fail with it. Supervisor and command line. Holds private keys for as long as a Config is being made.
 */
import { createPrivateKey, type KeyObject, type X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import { CodedError } from "../base/errors.ts";
import { CA_FILE_BYTES_MAX, PRIVATE_KEY_BYTES_MAX } from "../base/limits.ts";
import { readTextFile } from "./file.ts";
import { findingAt } from "./finding.ts";
import type { Certified } from "./listener.ts";
import type { Outside } from "./outside.ts";
import { certificatesIn } from "./pem.ts";

type Path = readonly PropertyKey[];

/** The settings that name files, of any of the places that have them. */
export interface FilesForm {
  readonly cert_file?: string | undefined;
  readonly key_file?: string | undefined;
  readonly client_ca_file?: string | undefined;
}

/** OpenSSL compares a name with a certificate, not a pattern with it: stands for any label in the place of "*". */
const ANY_LABEL = "sluice-any-label";

interface Certificates {
  readonly text: string;
  readonly first: X509Certificate;
}

interface PrivateKey {
  readonly text: string;
  readonly key: KeyObject;
}

export class ReferredFiles {
  readonly #path: Path;
  readonly #form: FilesForm;
  readonly #outside: Outside;

  constructor(path: Path, form: FilesForm, outside: Outside) {
    this.#path = path;
    this.#form = form;
    this.#outside = outside;
  }

  /** Certificate and key, checked; `names`: what the certificate has to be for. */
  certified(names: readonly string[] = []): Certified {
    const certificates = this.certificates("cert_file");
    const key = this.key();
    if (certificates !== null && key !== null) this.#checkTogether(certificates, key);
    if (certificates !== null) this.#warnOfNames(certificates.first, names);
    return { certificates: certificates?.text ?? "", key: key?.text ?? "" };
  }

  certificates(field: "cert_file" | "client_ca_file"): Certificates | null {
    const text = this.#read(field, CA_FILE_BYTES_MAX);
    if (text === null) return null;
    const certificates = certificatesIn(text);
    if (certificates === null) return this.#refuse(field, "the file holds no PEM certificates that can be read");
    for (const certificate of field === "cert_file" ? certificates : []) this.#warnOfDates(certificate);
    return { text, first: certificates[0] };
  }

  key(): PrivateKey | null {
    const text = this.#read("key_file", PRIVATE_KEY_BYTES_MAX);
    if (text === null) return null;
    try {
      return { text, key: createPrivateKey(text) };
    } catch {
      return this.#refuse("key_file", "the file holds no PEM private key that can be read without a passphrase");
    }
  }

  #checkTogether({ text: cert, first }: Certificates, { text: key, key: privateKey }: PrivateKey): void {
    if (!first.checkPrivateKey(privateKey)) {
      this.#refuse("key_file", "this key does not belong to the first certificate in 'cert_file'");
      return;
    }
    try {
      createSecureContext({ cert, key });
    } catch {
      this.#refuse("cert_file", "TLS does not take this certificate: its key or its signature is too weak");
    }
  }

  #warnOfDates({ validFromDate, validToDate }: X509Certificate): void {
    const now = Date.now();
    const day = (date: Date) => date.toISOString().slice(0, 10);
    const warn = (message: string) => this.#outside.warnings.push(findingAt([...this.#path, "cert_file"], message));
    if (validToDate.getTime() <= now) warn(`a certificate in this file expired on ${day(validToDate)}`);
    if (validFromDate.getTime() > now) warn(`a certificate in this file is valid from ${day(validFromDate)} on only`);
  }

  #warnOfNames(certificate: X509Certificate, names: readonly string[]): void {
    for (const [position, name] of names.entries()) {
      if (certificate.checkHost(name.replace("*", ANY_LABEL), { subject: "never" }) !== undefined) continue;
      const message = "the certificate in 'cert_file' is not for this name; clients will not accept it";
      this.#outside.warnings.push(findingAt([...this.#path, "names", position], message));
    }
  }

  #read(field: keyof FilesForm, bytesMax: number): string | null {
    try {
      return readTextFile(this.#outside.pathOf(this.#form[field] ?? ""), bytesMax);
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      return this.#refuse(field, `the file ${error.message}`);
    }
  }

  #refuse(field: keyof FilesForm, message: string): null {
    this.#outside.findings.push(findingAt([...this.#path, field], message));
    return null;
  }
}
