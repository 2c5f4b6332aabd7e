/**
 * A configuration of the documentation as somebody has it who follows it: in a directory of its own, which stands for /etc/sluice, with
 * the files that it names.
 */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { parse } from "yaml";
import { ROOT } from "../support/program.ts";

/** Where the pages have it. */
const INSTALLED = "/etc/sluice/";
const CERTIFICATES = join(ROOT, "test/fixtures/tls");
/** What a file is, by the setting that names it. */
const FIXTURES: Readonly<Record<string, string>> = {
  cert_file: "test-only-server.pem",
  key_file: "test-only-server.key.pem",
  ca_file: "test-only-ca.pem",
  client_ca_file: "test-only-ca.pem",
};
const HASH = "0123456789abcdef".repeat(4);

export class Configured {
  readonly directory = mkdtempSync(join(tmpdir(), "sluice-page-"));
  readonly path = join(this.directory, "sluice.yaml");

  /** Writes it with what it needs; the text as it is in the file then. */
  write(text: string): string {
    const here = text.replaceAll(INSTALLED, `${this.directory}/`).replaceAll("<64 hex digits>", HASH);
    this.#makeFiles(parse(here));
    writeFileSync(this.path, here);
    return here;
  }

  /** Variables that it takes credentials from. */
  env(text: string): Record<string, string> {
    const names = [...text.matchAll(/\benv: ?(\w+)/g)].map(([, name = ""]) => name);
    return Object.fromEntries(names.map((name) => [name, "sk-of-a-provider"]));
  }

  remove(): void {
    rmSync(this.directory, { recursive: true });
  }

  #makeFiles(value: unknown): void {
    if (typeof value !== "object" || value === null) return;
    for (const [name, below] of Object.entries(value)) {
      if (typeof below !== "string") this.#makeFiles(below);
      else if (name in FIXTURES) copyFileSync(join(CERTIFICATES, FIXTURES[name] ?? ""), this.#room(below));
      else if (name === "file") writeFileSync(this.#room(below), "sk-of-a-provider\n", { mode: 0o600 });
      else if (name === "keys_file") writeFileSync(this.#room(below), "keys: []\n", { mode: 0o600 });
    }
  }

  #room(file: string): string {
    const path = resolve(this.directory, file);
    mkdirSync(dirname(path), { recursive: true });
    return path;
  }
}
