/**
 * Who calls: the key's record in the snapshot. Step of the pipeline; memory only. A key is hashed when the edge does not know it yet:
 * the first time it is seen after a reload, and each time when it is none of ours.
 */
import { hash } from "node:crypto";
import { ERRORS } from "../base/errors.ts";
import { KEY_BYTES_MAX } from "../base/limits.ts";
import type { KeyRecord } from "../config/snapshot.ts";
import type { Exchange, Verdict } from "./exchange.ts";

/** Sets `key` and forgets the key's text. 401 when it is missing, unknown, disabled or expired. */
export function authenticate(exchange: Exchange): Verdict {
  if (exchange.keyNumber < 0 && exchange.keyText === "") return ERRORS.keyMissing;
  const key = lookUp(exchange);
  exchange.keyText = "";
  if (key === undefined) return ERRORS.keyInvalid;
  exchange.key = key;
  if (!key.enabled) return ERRORS.keyDisabled;
  return key.expiresAtMs !== Infinity && Date.now() >= key.expiresAtMs ? ERRORS.keyExpired : null;
}

function lookUp({ snapshot, keyNumber, keyText }: Exchange): KeyRecord | undefined {
  if (keyNumber >= 0) return snapshot.keyRecords[keyNumber];
  return keyText.length > KEY_BYTES_MAX ? undefined : snapshot.keys.get(hash("sha256", keyText, "hex"));
}
