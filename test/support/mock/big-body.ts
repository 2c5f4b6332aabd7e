/** Large deterministic bodies: the mock sends them and the tests know their checksums. Pure. */
import { createHash } from "node:crypto";
import { dataEvent } from "./plan.ts";

const MIB = 1_048_576;
const PIECE_BYTES = 16_384;

/** Bytes that do not repeat with the piece size, so that a lost or swapped piece changes the checksum. */
function* noise(seed: number): Generator<number> {
  let state = seed >>> 0 || 1;
  for (;;) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    yield state >>> 0;
  }
}

/** `mib` MiB of binary noise in pieces. */
export function* bigBytes(mib: number): Generator<Buffer> {
  const source = noise(mib);
  for (let sent = 0; sent < mib * MIB; sent += PIECE_BYTES) {
    const piece = Buffer.alloc(PIECE_BYTES);
    for (let at = 0; at < PIECE_BYTES; at += 4) piece.writeUInt32LE(source.next().value ?? 0, at);
    yield piece;
  }
}

/** A chat stream of at least `mib` MiB in events of differing sizes, with its [DONE]. */
export function* bigEvents(mib: number): Generator<Buffer> {
  const source = noise(mib);
  for (let sent = 0; sent < mib * MIB; ) {
    const word = source.next().value ?? 0;
    const content = word.toString(36).repeat(50 + (word % 1_500));
    const event = { id: "chatcmpl-big", object: "chat.completion.chunk", choices: [{ index: 0, delta: { content } }] };
    const piece = Buffer.from(dataEvent(event));
    sent += piece.length;
    yield piece;
  }
  yield Buffer.from("data: [DONE]\n\n");
}

/** Without end, and cheap: always the same event of 32 KiB. */
export function* endlessEvents(): Generator<Buffer> {
  const delta = { content: "x".repeat(32_768) };
  const piece = Buffer.from(dataEvent({ object: "chat.completion.chunk", choices: [{ index: 0, delta }] }));
  for (;;) yield piece;
}

/** Hex SHA-256 of the pieces together. */
export function sha256Of(pieces: Iterable<Buffer>): string {
  const hash = createHash("sha256");
  for (const piece of pieces) hash.update(piece);
  return hash.digest("hex");
}
