/** Whose certificates are trusted. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "node:test";
import { rootCertificates } from "node:tls";
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
