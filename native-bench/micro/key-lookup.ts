/**
 * What finding a key's record costs: by a SHA-256 per request, or by a tag of the key that the addon knows from before
 * (native/key-tags.h). The tag is made here as a text that JavaScript can see, which a request does not need.
 */
import { createHash, hash, randomBytes } from "node:crypto";
import { native } from "../../src/native/native.ts";
import { authenticate } from "../../src/pipeline/authenticate.ts";
import { exchangeOf, snapshotOf } from "../../test/support/exchange.ts";
import { compare } from "./contest.ts";

const KEYS = 1_000;
const texts = Array.from({ length: KEYS }, (_, i) => `sk-sluice-benchmark-${String(i).padStart(40, "0")}`);
const bytes = texts.map((text) => Buffer.from(text));
const key = { name: "benchmark", enabled: true, expiresAtMs: null, models: null, team: null };
const snapshot = snapshotOf({ keys: texts.map((text) => ({ ...key, hash: hash("sha256", text, "hex") })) });
const exchange = exchangeOf({ snapshot });
const secret = randomBytes(16);
const numbers = new Map(bytes.map((one, number) => [native.sipHash(secret, one), number]));
const { keys } = snapshot;

let turn = 0;

function nextBytes(): Buffer {
  turn = (turn + 1) % KEYS;
  return bytes[turn] as Buffer;
}

/** A new string, as each request's is: its hash for the table is not known yet. */
function nextText(): string {
  return nextBytes().toString("latin1");
}

function check(): void {
  if (authenticate(exchange) !== null) throw new Error("the key is not accepted");
}

compare(`key of ${KEYS}`, "hash by stream", {
  "known by its tag": () => {
    exchange.keyNumber = numbers.get(native.sipHash(secret, nextBytes())) ?? -1;
    check();
  },
  "not known": () => {
    exchange.keyNumber = -1;
    exchange.keyText = nextText();
    check();
  },
  "hash by stream": () => keys.get(createHash("sha256").update(nextText()).digest("hex")),
});
