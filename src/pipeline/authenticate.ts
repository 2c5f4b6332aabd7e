/**
 * Who calls: the key's record in the snapshot. Step of the pipeline; memory only. The SHA-256 of a key is computed once
 * per snapshot and key: keys that matched are remembered, others never are, so the memory is bounded by the snapshot.
 */
import { hash } from "node:crypto";
import { ERRORS } from "../base/errors.ts";
import { KEY_BYTES_MAX } from "../base/limits.ts";
import type { KeyRecord, Snapshot } from "../config/snapshot.ts";
import type { Exchange, Verdict } from "./exchange.ts";

let knownOf: Snapshot | null = null;
let known = new Map<string, KeyRecord>();

/** Sets `key` and forgets the key's text. 401 when it is missing, unknown, disabled or expired. */
export function authenticate(exchange: Exchange): Verdict {
  const text = exchange.keyText;
  exchange.keyText = "";
  if (text === "") return ERRORS.keyMissing;
  const key = lookUp(exchange.snapshot, text);
  if (key === undefined) return ERRORS.keyInvalid;
  exchange.key = key;
  if (!key.enabled) return ERRORS.keyDisabled;
  return key.expiresAtMs !== Infinity && Date.now() >= key.expiresAtMs ? ERRORS.keyExpired : null;
}

function lookUp(snapshot: Snapshot, text: string): KeyRecord | undefined {
  if (knownOf !== snapshot) {
    knownOf = snapshot;
    known = new Map();
  }
  return known.get(text) ?? firstLookUp(snapshot, text);
}

function firstLookUp(snapshot: Snapshot, text: string): KeyRecord | undefined {
  if (text.length > KEY_BYTES_MAX) return undefined;
  const key = snapshot.keys.get(hash("sha256", text, "hex"));
  if (key !== undefined) known.set(text, key);
  return key;
}
