/**
 * Which credential of a provider a try goes out with, and what is known of each. Gateway worker; for providers with several. They take
 * turns, because their limits add up and are then used evenly: nobody has to be refused to find out that there is another one. One that
 * was refused or limited rests, for all workers: in shared memory is until when, and nothing that could be read as the credential.
 *
 * A slot of the map of breakers: until when it rests, twice the tick (ticks.ts) plus one, 0: it does not; whether it is known to be
 * refused; how often it failed. Nothing else depends on them, so plain atomic stores do.
 */
import type { BreakerRules, Credential, Rotation } from "../config/snapshot.ts";
import { CREDENTIAL_AT, restMs } from "../shm/breakers.ts";
import { tickOf } from "../shm/ticks.ts";
import type { Exchange } from "./exchange.ts";

/** What an answer says of the credential that it was asked with. */
export const CREDENTIAL_FINE = 0;
export const CREDENTIAL_LIMITED = 1;
export const CREDENTIAL_REFUSED = 2;

/** A provider refuses a credential, or takes it again. */
export interface CredentialChange {
  readonly provider: string;
  /** Its number in the list, from 1, as in records and metrics. */
  readonly credential: number;
  /** Where it comes from. */
  readonly source: string;
  readonly refused: boolean;
  /** Of the request that showed it. */
  readonly requestId: string;
}

/** A try begins, with the credential whose turn it is. If all of them rest, the one that does so for the shortest time. */
export function takeCredential(exchange: Exchange, rotation: Rotation, wallMs: number): Credential {
  const taken = freeCredential(rotation, wallMs);
  rotation.turn.next = taken.place + 1;
  exchange.credential = taken.place;
  exchange.credentialsTried = 1 << taken.place;
  return taken;
}

/** The one whose turn it is, without taking it. */
export function freeCredential(rotation: Rotation, wallMs: number): Credential {
  return nextCredential(rotation, 0, wallMs) ?? soonest(rotation, wallMs);
}

/** The same try once more with one that it was not sent with; null: there is none that does not rest. */
export function rotateCredential(exchange: Exchange, rotation: Rotation, wallMs: number): Credential | null {
  const taken = nextCredential(rotation, exchange.credentialsTried, wallMs);
  if (taken === null) return null;
  rotation.turn.next = taken.place + 1;
  exchange.credential = taken.place;
  exchange.credentialsTried |= 1 << taken.place;
  return taken;
}

function nextCredential({ credentials, turn }: Rotation, tried: number, wallMs: number): Credential | null {
  for (let step = 0; step < credentials.length; step += 1) {
    const one = credentials[(turn.next + step) % credentials.length];
    if (one !== undefined && (tried & (1 << one.place)) === 0 && restMs(one.state, wallMs) === 0) return one;
  }
  return null;
}

function soonest({ credentials }: Rotation, wallMs: number): Credential {
  let best = credentials[0] as Credential;
  for (const one of credentials) if (restMs(one.state, wallMs) < restMs(best.state, wallMs)) best = one;
  return best;
}

/** How long all of them rest at least; 0: one of them does not. */
export function restOfAllMs({ credentials }: Rotation, wallMs: number): number {
  let least = Infinity;
  for (const { state } of credentials) least = Math.min(least, restMs(state, wallMs));
  return least;
}

/** `retryAfterMs`: as the provider says, or 0. True: that it is refused is news. */
export function restCredential(
  { state }: Credential,
  verdict: number,
  retryAfterMs: number,
  wallMs: number,
  { cooldownMs, cooldownMaxMs }: BreakerRules,
): boolean {
  const isRefused = verdict === CREDENTIAL_REFUSED;
  const wantedMs = isRefused ? cooldownMaxMs : Math.min(retryAfterMs === 0 ? cooldownMs : retryAfterMs, cooldownMaxMs);
  Atomics.store(state, CREDENTIAL_AT.until, 2 * tickOf(wallMs + wantedMs) + 1);
  Atomics.add(state, CREDENTIAL_AT.failures, 1);
  return isRefused && Atomics.exchange(state, CREDENTIAL_AT.refused, 1) === 0;
}

/** It was taken. True: that is news. */
export function acceptCredential({ state }: Credential): boolean {
  return Atomics.load(state, CREDENTIAL_AT.refused) !== 0 && Atomics.exchange(state, CREDENTIAL_AT.refused, 0) !== 0;
}
