/**
 * TLS contexts of the native transport: authorities, our certificate, and the sessions to resume. Gateway worker. Those of
 * providers with the same settings are one, because parsing the authorities takes milliseconds; it ends with the last wire
 * that holds it.
 */
import { createHash } from "node:crypto";
import { DEFAULT_CIPHERS } from "node:tls";
import type { ProviderTls } from "../config/snapshot.ts";
import { native } from "../native/native.ts";
import { authorities } from "./authorities.ts";

export class TlsContext {
  readonly id: number;

  constructor(id: number) {
    this.id = id;
  }
}

const contexts = new Map<string, WeakRef<TlsContext>>();
const endings = new FinalizationRegistry((id: number) => native.upstreamTlsClose(id));

export function tlsContextOf({ ca, client }: ProviderTls): TlsContext {
  const identity = createHash("sha256")
    .update(JSON.stringify([ca, client]))
    .digest("base64");
  const found = contexts.get(identity)?.deref();
  if (found !== undefined) return found;
  const { certificates = "", key = "" } = client ?? {};
  const id = native.upstreamTls(authorities(ca).join("\n"), certificates, key, DEFAULT_CIPHERS);
  const context = new TlsContext(id);
  contexts.set(identity, new WeakRef(context));
  endings.register(context, id);
  return context;
}
