/**
 * The map of breakers: what all workers know together of the targets that routes choose among, of providers' credentials where there
 * are several, and of providers that are checked. Gateway workers write, the supervisor reads. A file of slots (slots-map.ts), one for each
 * of them.
 *
 *   A slot:  0  whose it is, i64
 *            8  gate i32       12 failures in a row i32     16 when the window began i32     20 tries in it, 24 failures in it i32
 *           28  openings in a row i32     32 openings, 36 tries, 40 failures, all of them i32, modulo 2^32
 *
 *   That of a credential has from byte 8 on: until when it rests, whether it is refused, failures modulo 2^32 (pipeline/credential.ts)
 *   That of a provider's health: when the next check is due, whether it is unhealthy, checks in a row that say otherwise, checks and
 *   failed ones modulo 2^32 (pipeline/provider-health.ts)
 *
 *   Only the gate decides anything, so it is one word that holds state and time (pipeline/breaker.ts), changed by compareExchange. The
 *   counts are added to atomically; a window that is begun anew by one worker may lose what another one adds in that moment, which is one try.
 */
import { BREAKER_WORDS } from "../base/limits.ts";
import { openSlots, prepareSlots, type SlotsForm, type SlotsMap } from "./slots-map.ts";
import { isDue, TICK_MS, tickOf, ticksUntil } from "./ticks.ts";

/** "SLBR" */
const MAGIC = 0x52424c53;
const FORM: SlotsForm = { name: "breakers", magic: MAGIC, version: 1, words: BREAKER_WORDS };

/** Words of a slot. */
export const BREAKER_AT = {
  gate: 2,
  inARow: 3,
  windowAt: 4,
  windowTries: 5,
  windowFailures: 6,
  opensInARow: 7,
  opens: 8,
  tries: 9,
  failures: 10,
} as const;

/** The same of a slot that is of a credential. */
export const CREDENTIAL_AT = { until: 2, refused: 3, failures: 4 } as const;

/** And of a provider's health. */
export const HEALTH_AT = { due: 2, unhealthy: 3, inARow: 4, checks: 5, failures: 6 } as const;

export class BreakersMap {
  readonly #slots: SlotsMap;

  constructor(slots: SlotsMap) {
    this.#slots = slots;
  }

  /** The slot of a target. */
  slotOf(provider: string, model: string): Int32Array {
    return this.#slots.slotOf(`${provider}\n${model}`);
  }

  /** That of one of a provider's credentials. Its name is a part of a hash, which tells nothing of the credential. */
  slotOfCredential(provider: string, credential: string): Int32Array {
    return this.#slots.slotOf(`${provider}\n\n${credential}`);
  }

  slotOfHealth(provider: string): Int32Array {
    return this.#slots.slotOf(`${provider}\n\n\nhealth`);
  }
}

/** How long the credential of this slot rests from now on, milliseconds; 0: it does not. */
export function restMs(slot: Int32Array, wallMs: number): number {
  const until = Atomics.load(slot, CREDENTIAL_AT.until);
  const now = tickOf(wallMs);
  return until === 0 || isDue(until >>> 1, now) ? 0 : ticksUntil(until >>> 1, now) * TICK_MS;
}

/** Supervisor, at start; `goesOn` as in prepareSlots(). */
export function prepareBreakers(dataDir: string, goesOn: boolean): BreakersMap {
  return new BreakersMap(prepareSlots(dataDir, FORM, goesOn));
}

/** Gateway worker. Throws CodedError `breakers_invalid`. */
export function openBreakers(dataDir: string): BreakersMap {
  return new BreakersMap(openSlots(dataDir, FORM, "breakers_invalid"));
}
