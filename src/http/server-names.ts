/**
 * The certificates of one listener, by the name that a client asks for in its handshake (SNI). Gateway worker. A name that
 * stands there as it is comes before one with "*", and that before the listener's first certificate.
 */
import { createSecureContext, type SecureContext, type SecureContextOptions } from "node:tls";
import type { Certified, Tls } from "../config/listener.ts";

/** What all of a listener's certificates are used with. */
export function contextOf({ certificates, key }: Certified, clientAuthorities: string | null): SecureContextOptions {
  const clients = clientAuthorities === null ? {} : { ca: clientAuthorities };
  return { cert: certificates, key, ...clients, minVersion: "TLSv1.2" };
}

export class ServerNames {
  readonly #contexts = new Map<string, SecureContext>();

  constructor({ named, clientAuthorities }: Tls) {
    for (const certified of named) {
      const context = createSecureContext(contextOf(certified, clientAuthorities));
      for (const name of certified.names) this.#contexts.set(name, context);
    }
  }

  /** Undefined: the listener's first certificate. */
  contextFor(name: string): SecureContext | undefined {
    const asked = name.toLowerCase();
    return this.#contexts.get(asked) ?? this.#contexts.get(asked.replace(/^[^.]+/, "*"));
  }
}
