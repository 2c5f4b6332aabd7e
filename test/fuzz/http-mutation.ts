/** Damages responses where parsers of HTTP disagree: line ends, blanks, colons, framing headers, sizes of chunks. Pure. */
import type { MadeResponse } from "./http-response-maker.ts";
import { mutate } from "./mutation.ts";
import type { Random } from "./random.ts";

const INSERTS = [
  "\r",
  "\n",
  "\r\n",
  "\r\n\r\n",
  "\n\n",
  "\0",
  " ",
  "\t",
  "\x0b",
  "\x0c",
  "\x7f",
  "\x85",
  ":",
  ",",
  ";",
  "=",
  '"',
  "0",
  "f",
  "g",
  "-",
  "0\r\n\r\n",
  "\r\n folded",
  "\r\nContent-Length: 3\r\n",
  "Content-Length: 0\r\n",
  "Transfer-Encoding: chunked\r\n",
  "\r\nTransfer-Encoding: chunked",
  "Connection: close\r\n",
  "Connection: keep-alive\r\n",
  "\r\nHTTP/1.1 200 OK\r\n",
  "HTTP/1.1 100 Continue\r\n\r\n",
  "HTTP/1.0",
].map((text) => Buffer.from(text, "latin1"));

/** Line ends and blanks are where the meaning is: half of the faults are there. */
export function mutateResponse(random: Random, made: MadeResponse): MadeResponse {
  const bytes = random.chance(0.5) ? mutate(random, made.bytes, INSERTS) : mutateLineEnd(random, made.bytes);
  return { ...made, bytes };
}

function mutateLineEnd(random: Random, bytes: Buffer): Buffer {
  const ends = [...bytes.keys()].filter((at) => bytes[at] === 10 || bytes[at] === 58);
  if (ends.length === 0) return bytes;
  const at = random.pick(ends) + 1 - random.below(3);
  const from = Math.max(at, 0);
  return Buffer.concat([bytes.subarray(0, from), random.pick(INSERTS), bytes.subarray(from + random.below(3))]);
}
