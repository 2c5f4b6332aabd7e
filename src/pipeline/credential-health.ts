/** What answers say about the credentials that they were asked with, and what comes after a bad one. Gateway worker; pure but for the map. */
import type { Credential, Rotation } from "../config/snapshot.ts";
import {
  acceptCredential,
  CREDENTIAL_LIMITED,
  CREDENTIAL_REFUSED,
  type CredentialChange,
  restCredential,
  restOfAllMs,
  rotateCredential,
} from "./credential.ts";
import type { Exchange } from "./exchange.ts";

const UNAUTHORIZED = 401;
const TOO_MANY = 429;
const ERROR = 400;

export class CredentialHealth {
  readonly #tell: (change: CredentialChange) => void;

  constructor(tell: (change: CredentialChange) => void) {
    this.#tell = tell;
  }

  /** An answer began; `retryAfterMs`: as it says, or 0. The credential to send the same try again with; null: the answer counts. */
  answer(exchange: Exchange, status: number, retryAfterMs: number, wallMs: number): Credential | null {
    const credential = credentialOf(exchange);
    if (credential === null) return null;
    if (status < ERROR && acceptCredential(credential)) this.#told(exchange, credential, false);
    if (status === UNAUTHORIZED) return this.bad(exchange, CREDENTIAL_REFUSED, 0, wallMs);
    return status === TOO_MANY ? this.bad(exchange, CREDENTIAL_LIMITED, retryAfterMs, wallMs) : null;
  }

  /** The same where it is known that the credential was the trouble. */
  bad(exchange: Exchange, verdict: number, retryAfterMs: number, wallMs: number): Credential | null {
    const [rotation, credential] = [rotationOf(exchange), credentialOf(exchange)];
    if (rotation === null || credential === null) return null;
    if (restCredential(credential, verdict, retryAfterMs, wallMs, exchange.snapshot.breaker))
      this.#told(exchange, credential, true);
    return rotateCredential(exchange, rotation, wallMs);
  }

  #told({ target, requestId }: Exchange, { place, source }: Credential, refused: boolean): void {
    if (target === null) return;
    this.#tell({ provider: target.provider.name, credential: place + 1, source, refused, requestId });
  }
}

function rotationOf({ credential, target }: Exchange): Rotation | null {
  return credential < 0 || target === null ? null : target.provider.rotation;
}

function credentialOf(exchange: Exchange): Credential | null {
  return rotationOf(exchange)?.credentials[exchange.credential] ?? null;
}

/** How long a provider wants to be left alone, who said `retryAfterMs` to one credential: until the first of them is free. */
export function waitForCredentialMs(exchange: Exchange, retryAfterMs: number, wallMs: number): number {
  const rotation = rotationOf(exchange);
  return rotation === null ? retryAfterMs : Math.min(retryAfterMs, restOfAllMs(rotation, wallMs));
}
