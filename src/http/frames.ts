/**
 * Heads and chunks of answers as bytes for the wire. Gateway worker, main thread; what is handed out is valid until the next call,
 * as one buffer holds all that are not very large: uWebSockets.js has sent or copied them when its call returns.
 */
import type { LimitStanding } from "../base/limit-terms.ts";
import { FRAME_BYTES_MAX, LIMIT_LINES_BYTES_MAX } from "../base/limits.ts";
import { native } from "../native/native.ts";

/** Beginnings of the buffer by their length, as they were needed: a view costs more than writing most frames does. */
const VIEWS = 2_048;
const views: (Uint8Array | undefined)[] = Array(VIEWS).fill(undefined);
const shared = Buffer.allocUnsafeSlow(FRAME_BYTES_MAX);

/** Of a chunk, with the end of a head before it and of the answer behind it: eight digits, five line breaks, and the empty chunk with its two. */
const OVERHEAD_BYTES = 23;
const CR = 13;
const LF = 10;
const ZERO = 48;
const DIGITS = Buffer.from("0123456789abcdef");

/** Where the next byte of the frame that is being made goes. */
let target: Buffer = shared;
let at = 0;

/** What limitsHead() says. */
const told = native.limitsHeadInto(shared);

/**
 * Header values are latin1 (RFC 9110 5.5), and uWebSockets.js would write a string as UTF-8. `standing`: what it says of limits besides; null:
 * nothing.
 */
export function headBytes(head: string, standing: LimitStanding | null): Uint8Array {
  begin(head.length + LIMIT_LINES_BYTES_MAX);
  putHead(head, standing);
  return made();
}

/** `head`: of the answer, in front of its first chunk, or empty. `last`: the answer ends behind `chunk`, which may be empty. */
export function chunkFrame(head: string, standing: LimitStanding | null, chunk: Uint8Array, last: boolean): Uint8Array {
  begin(head.length + LIMIT_LINES_BYTES_MAX + chunk.length + OVERHEAD_BYTES);
  if (head !== "") putWholeHead(head, standing);
  if (chunk.length > 0) putChunk(chunk);
  if (last) putEnd();
  return made();
}

function begin(bytes: number): void {
  target = bytes <= FRAME_BYTES_MAX ? shared : Buffer.allocUnsafeSlow(bytes);
  at = 0;
}

function made(): Uint8Array {
  if (target !== shared || at >= VIEWS) return target.subarray(0, at);
  views[at] ??= shared.subarray(0, at);
  return views[at] as Uint8Array;
}

function putText(text: string): void {
  at += target.write(text, at, "latin1");
}

function putWholeHead(head: string, standing: LimitStanding | null): void {
  putHead(head, standing);
  putLineBreak();
  putLineBreak();
}

function putHead(head: string, standing: LimitStanding | null): void {
  if (standing === null) putText(head);
  else putLimited(head, standing);
}

/** Numbers become text in the addon, behind the head in the same buffer: as strings they would cost as much as the limits themselves. */
function putLimited(head: string, standing: LimitStanding): void {
  tell(standing);
  if (target === shared) {
    at = native.limitsHead(head, at);
    return;
  }
  putText(head);
  at += shared.copy(target, at, 0, native.limitsHead("", 0));
}

function tell(standing: LimitStanding): void {
  told[0] = standing.requestsLimit;
  told[1] = standing.requestsLeft;
  told[2] = standing.requestsResetMs;
  told[3] = standing.tokensLimit;
  told[4] = standing.tokensLeft;
  told[5] = standing.tokensResetMs;
}

function putLineBreak(): void {
  target[at] = CR;
  target[at + 1] = LF;
  at += 2;
}

function putChunk(chunk: Uint8Array): void {
  putSize(chunk.length);
  putLineBreak();
  target.set(chunk, at);
  at += chunk.length;
  putLineBreak();
}

function putSize(size: number): void {
  let shift = (31 - Math.clz32(size)) & ~3;
  for (; shift >= 0; shift -= 4) {
    target[at] = DIGITS[(size >>> shift) & 15] as number;
    at += 1;
  }
}

function putEnd(): void {
  target[at] = ZERO;
  at += 1;
  putLineBreak();
  putLineBreak();
}

let dateLine = "";
let dateSecond = 0;

/** The Date header (RFC 9110 6.6.1) with its CRLF. It is made once a second. */
export function dateHeader(wallMs: number): string {
  const second = Math.floor(wallMs / 1_000);
  if (second !== dateSecond) {
    dateSecond = second;
    dateLine = `date: ${new Date(second * 1_000).toUTCString()}\r\n`;
  }
  return dateLine;
}
