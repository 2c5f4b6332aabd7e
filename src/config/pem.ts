/** Certificates in PEM text. Supervisor and command line. */
import { X509Certificate } from "node:crypto";

/** All of them, in order; null: there is none, or one that cannot be read. */
export function certificatesIn(text: string): readonly [X509Certificate, ...X509Certificate[]] | null {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  try {
    const [first, ...rest] = blocks.map((block) => new X509Certificate(block));
    return first === undefined ? null : [first, ...rest];
  } catch {
    return null;
  }
}
