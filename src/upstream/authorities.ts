/**
 * Whose certificates are trusted: the authorities of the runtime, those of the system, and a provider's own. Gateway worker.
 */
import { getCACertificates } from "node:tls";

/** PEM texts; read from the system once per process. `own`: PEM of further ones; null: none. */
export function authorities(own: string | null): string[] {
  const all = new Set([...getCACertificates("default"), ...getCACertificates("system")]);
  return own === null ? [...all] : [...all, own];
}
