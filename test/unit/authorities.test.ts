/** Whose certificates are trusted. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { test } from "node:test";
import { rootCertificates } from "node:tls";
import { fileURLToPath } from "node:url";
import { authorities } from "../../src/upstream/authorities.ts";

function fingerprints(texts: readonly string[]): string[] {
  return texts.map((text) => new X509Certificate(text).fingerprint256);
}

test("those of the runtime are, and each of them once", () => {
  const trusted = fingerprints(authorities(null));
  strictEqual(new Set(trusted).size, trusted.length);
  ok(fingerprints(rootCertificates).every((one) => trusted.includes(one)));
});

test("a provider's own come in addition, for that provider", () => {
  const all = authorities(null);
  deepStrictEqual(authorities("own"), [...all, "own"]);
  deepStrictEqual(authorities(null), all);
});

/** In a process of its own, as they are read once. */
const IS_TRUSTED = `
  const { authorities } = await import(process.argv[1]);
  const has = (text) => authorities(null).some((one) => one.trim() === text.trim());
  console.log(has((await import("node:fs")).readFileSync(process.argv[2], "utf8")));
`;

test("those that the administrator added to the system are", () => {
  const module = new URL("../../src/upstream/authorities.ts", import.meta.url).href;
  const ca = fileURLToPath(new URL("../fixtures/tls/test-only-ca.pem", import.meta.url));
  const trusts = (system: NodeJS.ProcessEnv) =>
    execFileSync(process.execPath, ["--input-type=module", "-e", IS_TRUSTED, module, ca], {
      env: system,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  // Where the system's OpenSSL looks, as /etc/ssl/certs.
  deepStrictEqual([trusts({}), trusts({ SSL_CERT_FILE: ca })], ["false", "true"]);
});
