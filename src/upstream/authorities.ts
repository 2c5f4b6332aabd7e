/**
 * Whose certificates are trusted: the authorities of the runtime, those of the system, and a provider's own. Gateway worker.
 */
import { getCACertificates } from "node:tls";

/** PEM texts, each certificate once, whatever its line breaks. */
let common: readonly string[] | null = null;

/** PEM texts; read from the system once per process. `own`: PEM of further ones; null: none. */
export function authorities(own: string | null): string[] {
  common ??= distinct([...getCACertificates("default"), ...getCACertificates("system")]);
  return own === null ? [...common] : [...common, own];
}

function distinct(texts: readonly string[]): readonly string[] {
  return [...new Map(texts.map((text) => [text.replace(/\s/g, ""), text])).values()];
}
