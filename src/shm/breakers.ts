/**
 * The map of breakers: what all workers know together of the targets that routes choose among, of providers' credentials where there
 * are several, and of providers that are checked. Gateway workers write, the supervisor reads. Made anew when the gateway starts, kept over reloads and over a restart that takes over, so that both generations share it.
 *
 * <dataDir>/breakers.map, little-endian
 *
 *        0  magic u32     4 version u32
 *     4096  slot 0: a cache line     4160 slot 1 ...     BREAKERS_MAX slots
 *
 *   A slot:  0  whose it is, i64: 8 bytes of the SHA-256 of its name; 0: nobody's yet. Set once, by compareExchange
 *            8  gate i32       12 failures in a row i32     16 when the window began i32     20 tries in it, 24 failures in it i32
 *           28  openings in a row i32     32 openings, 36 tries, 40 failures, all of them i32, modulo 2^32
 *
 *   That of a credential has from byte 8 on: until when it rests, whether it is refused, failures modulo 2^32 (pipeline/credential.ts)
 *   That of a provider's health: when the next check is due, whether it is unhealthy, checks in a row that say otherwise, checks and
 *   failed ones modulo 2^32 (pipeline/provider-health.ts)
 *
 *   A target has the first slot from its hash on that is its own or nobody's. Only the gate decides anything, so it is one word that
 *   holds state and time (pipeline/breaker.ts), changed by compareExchange. The counts are added to atomically; a window that is begun
 *   anew by one worker may lose what another one adds in that moment, which is one try.
 */
import { createHash } from "node:crypto";
import { renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { CodedError } from "../base/errors.ts";
import { BREAKER_WORDS, BREAKERS_MAX } from "../base/limits.ts";
import { native } from "../native/native.ts";
import { PAGE_BYTES } from "./layout.ts";

/** "SLBR" */
const MAGIC = 0x52424c53;
const VERSION = 1;
const SLOT_BYTES = BREAKER_WORDS * 4;
const BYTES = PAGE_BYTES + BREAKERS_MAX * SLOT_BYTES;

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
  readonly #keys: BigInt64Array;
  readonly #words: Int32Array;

  constructor(mapping: ArrayBuffer) {
    this.#keys = new BigInt64Array(mapping, PAGE_BYTES);
    this.#words = new Int32Array(mapping, PAGE_BYTES);
  }

  /** The slot of a target. Where there is no room for it, it is the caller's own. */
  slotOf(provider: string, model: string): Int32Array {
    return this.#slotOf(keyOf(`${provider}\n${model}`));
  }

  /** That of one of a provider's credentials. Its name is a part of a hash, which tells nothing of the credential. */
  slotOfCredential(provider: string, credential: string): Int32Array {
    return this.#slotOf(keyOf(`${provider}\n\n${credential}`));
  }

  slotOfHealth(provider: string): Int32Array {
    return this.#slotOf(keyOf(`${provider}\n\n\nhealth`));
  }

  #slotOf(key: bigint): Int32Array {
    const first = Number(BigInt.asUintN(32, key)) % BREAKERS_MAX;
    for (let i = 0; i < BREAKERS_MAX; i += 1) {
      const slot = (first + i) % BREAKERS_MAX;
      const owner = Atomics.compareExchange(this.#keys, (slot * SLOT_BYTES) / 8, 0n, key);
      if (owner === 0n || owner === key) return this.#words.subarray(slot * BREAKER_WORDS, (slot + 1) * BREAKER_WORDS);
    }
    return new Int32Array(BREAKER_WORDS);
  }
}

function keyOf(name: string): bigint {
  const key = createHash("sha256").update(name).digest().readBigInt64LE();
  return key === 0n ? 1n : key;
}

function pathIn(dataDir: string): string {
  return join(dataDir, "breakers.map");
}

function isSound(mapping: ArrayBuffer): boolean {
  const header = new DataView(mapping);
  return header.getUint32(0, true) === MAGIC && header.getUint32(4, true) === VERSION;
}

/** Supervisor, at start. `goesOn`: workers of the program before use what is there; of another layout, it is left to them. */
export function prepareBreakers(dataDir: string, goesOn: boolean): BreakersMap {
  const path = pathIn(dataDir);
  try {
    const former = goesOn ? native.mapFile(path, BYTES) : null;
    if (former !== null && isSound(former)) return new BreakersMap(former);
    rmSync(`${path}.new`, { force: true });
    const mapping = native.mapFile(`${path}.new`, BYTES);
    const header = new DataView(mapping);
    header.setUint32(0, MAGIC, true);
    header.setUint32(4, VERSION, true);
    renameSync(`${path}.new`, path);
    return new BreakersMap(mapping);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const message = `The data directory (setting 'data_dir') cannot be used: ${reason}`;
    throw new CodedError("data_dir_unusable", message, cause);
  }
}

/** Gateway worker. Throws CodedError `breakers_invalid`. */
export function openBreakers(dataDir: string): BreakersMap {
  const mapping = native.mapFile(pathIn(dataDir), BYTES);
  if (isSound(mapping)) return new BreakersMap(mapping);
  throw new CodedError("breakers_invalid", `${pathIn(dataDir)} was not made by this version's supervisor`);
}
