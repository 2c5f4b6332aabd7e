/**
 * Compares our parser of upstream responses with node:http's on one response. What ours reads to the end, the other reads to
 * the end with the same meaning, cut anywhere; what only ours refuses, it refuses for one of the reasons that are meant.
 */
import { isDeepStrictEqual } from "node:util";
import type { Delivery, Reader, Reading } from "./http-reading.ts";
import type { MadeResponse } from "./http-response-maker.ts";
import { readWithLlhttp } from "./llhttp-reader.ts";
import type { Random } from "./random.ts";
import { everyByte, randomCuts } from "./response-run.ts";

/** What node:http lets through. */
const MEANT = [
  "this is not HTTP/1.1",
  "the status line is malformed",
  "the status is not one of 100 to 599",
  "a control character in the status line, or no CR",
  "Content-Length has not 1 to 15 digits",
  "Transfer-Encoding is not chunked, once",
  "Transfer-Encoding in HTTP/1.0",
  "a 1xx with framing, or with the end of the connection",
  "the server switched protocols, unasked",
  "framing in the trailers",
  "Connection names too many headers",
  "the name of a header is too long",
  "a chunk extension is malformed",
  "the size of a chunk has too many digits",
  "the extensions of a chunk are too long",
];

/** What is wrong with how `reader` reads this; null: nothing. */
export function disagreement(reader: Reader, random: Random, { bytes, headRequest }: MadeResponse): string | null {
  const open = { bytes, cuts: [], headRequest, closes: false };
  const closed = { ...open, closes: true };
  const whole = reader(closed);
  return (
    cutDisagreement(reader, closed, whole, [everyByte(bytes.length), randomCuts(random, bytes.length)]) ??
    meaningDisagreement(whole, closed) ??
    meaningDisagreement(reader(open), open)
  );
}

function cutDisagreement(reader: Reader, delivery: Delivery, whole: Reading, ways: number[][]): string | null {
  for (const cuts of ways) {
    const cut = reader({ ...delivery, cuts });
    if (!isDeepStrictEqual(comparable(cut), comparable(whole))) return said(`cut at ${cuts}`, cut, whole);
  }
  return null;
}

/** A wrong line may be noticed before its end, or for another reason. */
function comparable(reading: Reading): Partial<Reading> {
  const { reason, left, ...rest } = reading;
  return reading.outcome === "error" ? rest : { ...rest, left };
}

function meaningDisagreement(ours: Reading, delivery: Delivery): string | null {
  if (ours.outcome === "end") return endDisagreement(ours, delivery);
  const theirs = readWithLlhttp(delivery);
  if (theirs.outcome !== "end") return null;
  const refused = ours.outcome === "error" && MEANT.includes(ours.reason);
  return refused ? null : said("only llhttp reads it to the end", ours, theirs);
}

function endDisagreement(ours: Reading, delivery: Delivery): string | null {
  const bytes = delivery.bytes.subarray(0, delivery.bytes.length - ours.left);
  const theirs = readWithLlhttp({ ...delivery, bytes });
  const same = isDeepStrictEqual({ ...ours, left: 0 }, theirs);
  return same ? null : said("the meaning differs", ours, theirs);
}

function said(what: string, one: Reading, other: Reading): string {
  return `${what}:\n${JSON.stringify(one)}\n${JSON.stringify(other)}`;
}
