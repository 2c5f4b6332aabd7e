/**
 * What finding a key's record costs: SHA-256 per request, against keys that are remembered once their hash matched
 * (pipeline/authenticate.ts).
 */
import { createHash, hash } from "node:crypto";
import { authenticate } from "../../src/pipeline/authenticate.ts";
import { exchangeOf, snapshotOf } from "../../test/support/exchange.ts";
import { compare } from "./contest.ts";

const KEYS = 1_000;
const texts = Array.from({ length: KEYS }, (_, i) => `sk-sluice-benchmark-${String(i).padStart(40, "0")}`);
const bytes = texts.map((text) => Buffer.from(text));
const key = { name: "benchmark", enabled: true, expiresAtMs: null, models: null };
const snapshot = snapshotOf({ keys: texts.map((text) => ({ ...key, hash: hash("sha256", text, "hex") })) });
const exchange = exchangeOf({ snapshot });
const { keys } = snapshot;

let turn = 0;

/** A new string, as each request's is: its hash for the table is not known yet. */
function nextText(): string {
  turn = (turn + 1) % KEYS;
  return bytes[turn]?.toString("latin1") ?? "";
}

compare(`key of ${KEYS}`, "hash by stream", {
  authenticate: () => {
    exchange.keyText = nextText();
    if (authenticate(exchange) !== null) throw new Error("the key is not accepted");
  },
  "hash, one call": () => keys.get(hash("sha256", nextText(), "hex")),
  "hash by stream": () => keys.get(createHash("sha256").update(nextText()).digest("hex")),
});
