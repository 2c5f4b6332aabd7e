/** What a parser reads in the bytes of one HTTP/1.1 response: the form in which parsers are compared. Pure but for the parser. */
import type { HeadEvent, Parser, ParserAddon, ParserEvent } from "../support/parser-addon.ts";

/** Headers that no reading has in its lines, beside framing. */
export const DROPPED = ["date", "x-dropped", "x-request-id"];
export const HEAD_BYTES_MAX = 65_536;

export type Head = Omit<HeadEvent, "kind" | "textLength">;

export interface Reading {
  /** "more": neither its end nor an error was found. */
  readonly outcome: "end" | "error" | "more";
  readonly head: Head | null;
  readonly body: string;
  /** Why it is an error. */
  readonly reason: string;
  /** Bytes behind the end. */
  readonly left: number;
}

export interface Delivery {
  readonly bytes: Uint8Array;
  /** Ascending offsets. */
  readonly cuts: readonly number[];
  readonly headRequest: boolean;
  /** The peer closes behind the bytes. */
  readonly closes: boolean;
}

export type Reader = (delivery: Delivery) => Reading;

/** Reads with one parser for all responses, as a connection does that is used again. */
export function nativeReader(addon: ParserAddon, dropped: readonly string[] = DROPPED): Reader {
  const parser = addon.open(dropped, HEAD_BYTES_MAX);
  return (delivery) => readNative(addon, parser, delivery);
}

function readNative(addon: ParserAddon, parser: Parser, { bytes, cuts, headRequest, closes }: Delivery): Reading {
  addon.begin(parser, headRequest);
  let reading: Reading = { outcome: "more", head: null, body: "", reason: "", left: 0 };
  let from = 0;
  for (const to of [...cuts, bytes.length]) {
    for (const event of addon.feed(parser, bytes.subarray(from, to))) reading = grown(reading, event);
    if (reading.outcome !== "more") return { ...reading, left: reading.left + bytes.length - to };
    from = to;
  }
  if (closes) for (const event of addon.closed(parser)) reading = grown(reading, event);
  return reading;
}

function grown(reading: Reading, event: ParserEvent): Reading {
  switch (event.kind) {
    case "head": {
      const { kind: _, textLength: __, ...head } = event;
      if (reading.head !== null) throw new Error("two heads");
      return { ...reading, head };
    }
    case "body":
      if (reading.head === null || event.bytes.length === 0) throw new Error("a body without a head, or without bytes");
      return { ...reading, body: reading.body + event.bytes.toString("latin1") };
    case "end":
      return { ...reading, outcome: "end", left: event.left };
    case "error":
      return { ...reading, outcome: "error", reason: event.reason };
  }
}

export interface RawResponse {
  readonly status: number;
  readonly http10: boolean;
  /** Names and values in turn. */
  readonly rawHeaders: readonly string[];
  readonly headRequest: boolean;
}

/** What our head says, found from the raw headers of another parser: slowly, and without the code under test. */
export function headOf({ status, http10, rawHeaders, headRequest }: RawResponse): Head {
  const headers = pairs(rawHeaders);
  const values = (wanted: string) => headers.filter(([name]) => name === wanted).map(([, value]) => value);
  const options = values("connection").flatMap((value) => value.split(","));
  const tokens = new Set(options.map((option) => option.replace(/^[ \t]+|[ \t]+$/g, "").toLowerCase()));
  const named = [...tokens].filter((token) => token !== "close" && token !== "keep-alive");
  const hidden = new Set([...DROPPED, ...named, "content-length", "transfer-encoding", "connection"]);
  const chunked = values("transfer-encoding").length > 0;
  const [length] = values("content-length");
  const bodyless = headRequest || status === 204 || status === 304;
  const closeDelimited = !bodyless && !chunked && length === undefined;
  const doubtful = bodyless && !headRequest && chunked;
  const encodings = values("content-encoding");
  return {
    status,
    reusable: !tokens.has("close") && (!http10 || tokens.has("keep-alive")) && !closeDelimited && !doubtful,
    chunked,
    closeDelimited,
    contentLength: length === undefined ? -1 : Number(length),
    lines: headers.map(([name, value]) => (hidden.has(name) ? "" : `\r\n${name}: ${value}`)).join(""),
    contentType: values("content-type")[0] ?? null,
    contentEncoding: encodings.length === 0 ? null : encodings.join(", "),
    requestId: values("x-request-id")[0] ?? null,
  };
}

function pairs(rawHeaders: readonly string[]): [string, string][] {
  const found: [string, string][] = [];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    found.push([(rawHeaders[i] ?? "").toLowerCase(), rawHeaders[i + 1] ?? ""]);
  }
  return found;
}
