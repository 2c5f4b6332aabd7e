/**
 * The response scan: usage, completeness and event borders, found in the bytes of an answer while they pass. Gateway
 * worker. A scanner is a slot in the addon (native/response.cc) that must be closed exactly once.
 */
import { SCANNER_SLOTS_MAX } from "../base/limits.ts";
import { native } from "../native/native.ts";

/** Flags of a feed; they stay set for the rest of the answer. */
export const SEEN_USAGE = 1;
/** A finish_reason that is not null. */
export const SEEN_FINISH = 2;
/** `[DONE]`, or a Responses event that ends a stream. */
export const SEEN_TERMINAL = 4;
export const SEEN_ERROR = 8;
/** At least one whole JSON value. */
export const SEEN_JSON = 16;
/** SEEN_TERMINAL, and the event that says so is whole. */
export const SEEN_TERMINAL_EVENT = 64;

/** Bytes of English or code per token, for estimates: the usual figure for the cl100k and o200k vocabularies. */
export const BYTES_PER_TOKEN = 4;

const feedOut = new Int32Array(7);
const CLOCK_HIGH_NS = 2 ** 32;
const NS_PER_MS = 1e6;
const usageOut = new Float64Array(6);

/** Opens a scanner for server-sent events (`true`) or one JSON document; -1 when all slots are taken. */
export function openScan(events: boolean): number {
  return native.responseOpen(events, SCANNER_SLOTS_MAX);
}

/** Feeds the next bytes of any length; returns SEEN_ flags. Borders are in `borders` until the next feed. */
export function feedScan(slot: number, chunk: Uint8Array): number {
  return native.responseFeed(slot, chunk, feedOut);
}

/** Offsets into the chunk that was fed last. */
export const borders = {
  /** After the last event that ended in it; -1: none ended. */
  get boundary(): number {
    return feedOut[0] ?? -1;
  },
  /** Of the event that only carries usage; -1 with a stripEnd: it began in an earlier chunk. */
  get stripStart(): number {
    return feedOut[1] ?? -1;
  },
  /** After that event; -1: it did not end in this chunk. */
  get stripEnd(): number {
    return feedOut[2] ?? -1;
  },
  /** When the last chunk that ended an event was fed: monotonic milliseconds, of another origin than base/clock.ts. */
  get atMs(): number {
    return ((feedOut[4] ?? 0) * CLOCK_HIGH_NS + ((feedOut[3] ?? 0) >>> 0)) / NS_PER_MS;
  },
};

/** What the model wrote so far, in all chunks that were fed to the scanner that was fed last; both stop at CONTENT_MOST. */
export const written = {
  /** Pieces with something in them; a token each at least. */
  get deltas(): number {
    return feedOut[5] ?? 0;
  },
  get bytes(): number {
    return feedOut[6] ?? 0;
  },
};
export const CONTENT_MOST = 2 ** 31 - 1;

/** Token counts as the provider gave them; valid until the next readUsage. Estimates are of what passed so far. */
export const usage = {
  inputTokens: 0,
  outputTokens: 0,
  cachedTokens: 0,
  reasoningTokens: 0,
  /** Output so far: one token per delta at least, and a token per four bytes at least. */
  estimatedOutputTokens: 0,
};

/** Fills `usage` from a scanner. By index: taking an array apart makes an iterator, and an object for each number. */
export function readUsage(slot: number): void {
  native.responseUsage(slot, usageOut);
  usage.inputTokens = usageOut[0] ?? 0;
  usage.outputTokens = usageOut[1] ?? 0;
  usage.cachedTokens = usageOut[2] ?? 0;
  usage.reasoningTokens = usageOut[3] ?? 0;
  const contentBytes = usageOut[4] ?? 0;
  usage.estimatedOutputTokens = Math.max(usageOut[5] ?? 0, estimateTokens(contentBytes));
}

/** Tokens in `bytes` of text, rounded up. */
export function estimateTokens(bytes: number): number {
  return Math.ceil(bytes / BYTES_PER_TOKEN);
}

export function closeScan(slot: number): void {
  native.responseClose(slot);
}

/** Scanners taken: 0 when nothing is in flight. */
export function scansOpen(): number {
  return native.responsesOpen();
}
