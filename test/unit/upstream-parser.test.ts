/** The strict parser of upstream responses, called directly. */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { before, describe, it } from "node:test";
import {
  type HeadEvent,
  type Parser,
  type ParserAddon,
  type ParserEvent,
  parserAddon,
} from "../support/parser-addon.ts";
import { REFUSED } from "./refused-responses.ts";

const HEAD_BYTES_MAX = 1_000;
const DROPPED = ["date", "x-request-id"];

let addon: ParserAddon;
let parser: Parser;

before(async () => {
  addon = await parserAddon();
  parser = addon.open(DROPPED, HEAD_BYTES_MAX);
});

function feed(text: string): ParserEvent[] {
  return addon.feed(parser, Buffer.from(text, "latin1"));
}

/** Events of a response that comes in one piece; `closes`: and then the connection ends. */
function read(text: string, { headRequest = false, closes = false } = {}): ParserEvent[] {
  addon.begin(parser, headRequest);
  const events = feed(text);
  return closes ? [...events, ...addon.closed(parser)] : events;
}

/** The same byte by byte, with the pieces of the body put together. */
function readByByte(text: string): ParserEvent[] {
  addon.begin(parser, false);
  const events = [...text].flatMap((character) => feed(character));
  const stop = events.findIndex(({ kind }) => kind === "end" || kind === "error");
  return stop < 0 ? events : events.slice(0, stop + 1);
}

function kinds(events: readonly ParserEvent[]): string {
  return events.map(({ kind }) => kind).join(" ");
}

function headIn(events: readonly ParserEvent[]): HeadEvent {
  const [head] = events;
  if (head?.kind !== "head") throw new Error(`no head: ${JSON.stringify(events)}`);
  return head;
}

function bodyIn(events: readonly ParserEvent[]): string {
  return events.map((event) => (event.kind === "body" ? event.bytes.toString("latin1") : "")).join("");
}

function reasonIn(events: readonly ParserEvent[]): string {
  const last = events.at(-1);
  return last?.kind === "error" ? last.reason : `no error: ${kinds(events)}`;
}

function headWith(...lines: readonly string[]): HeadEvent {
  return headIn(read(["HTTP/1.1 200 OK", ...lines, "Content-Length: 0", "", ""].join("\r\n")));
}

describe("the head for the client", () => {
  it("has lower-case names, values without blanks around them, in order", () => {
    const { lines } = headWith("B-Name:  two words\t", "a_1.~!#$%&'*+^`|: x\ty", "B-NAME:", "C:\u00e9\u00ff");
    strictEqual(lines, "\r\nb-name: two words\r\na_1.~!#$%&'*+^`|: x\ty\r\nb-name: \r\nc: \u00e9\u00ff");
  });

  it("has names and values of every length", () => {
    for (let length = 1; length <= 80; length += 1) {
      const name = "Ab-9_Z".repeat(20).slice(0, length);
      const value = `${"\u00e4 b\t".repeat(20).slice(0, length)}.`;
      strictEqual(headWith(`${name}: ${value}`).lines, `\r\n${name.toLowerCase()}: ${value}`);
    }
  });

  it("has nothing of what is dropped, and of framing", () => {
    strictEqual(headWith("DATE: today", "a: 1", "Connection: keep-alive", "Date-2: b").lines, "\r\na: 1\r\ndate-2: b");
  });

  it("has nothing that Connection names, before and behind it", () => {
    const { lines, reusable } = headWith("a: 1", "B: 2", "Connection: b ,, C,d e,keep-alive", "c: 3", "d: 4", "bb: 5");
    strictEqual(lines, "\r\na: 1\r\nd: 4\r\nbb: 5");
    ok(reusable);
  });

  it("can lose all of its lines", () => {
    strictEqual(headWith("Connection: a, b", "a: 1", "b: 2").lines, "");
  });

  it("tells what the pipeline reads, also if the client does not get it", () => {
    const { contentType, contentEncoding, requestId, lines } = headWith(
      "Content-Type: text/plain",
      "content-encoding: gzip",
      "X-Request-Id:  req_1 ",
      "Content-Type: text/html",
      "Content-Encoding: br",
      "x-request-id: req_2",
      "Connection: content-type",
    );
    deepStrictEqual([contentType, contentEncoding, requestId], ["text/plain", "gzip, br", "req_1"]);
    strictEqual(lines, "\r\ncontent-encoding: gzip\r\ncontent-encoding: br");
  });

  it("tells what is not there from what is empty", () => {
    const { contentType, contentEncoding, requestId } = headWith("Content-Type:", "X-Request-Id: \t");
    deepStrictEqual([contentType, contentEncoding, requestId], ["", null, ""]);
  });
});

describe("framing", () => {
  it("a length", () => {
    const events = read("HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello");
    const { contentLength, chunked, closeDelimited, reusable } = headIn(events);
    deepStrictEqual([contentLength, chunked, closeDelimited, reusable], [5, false, false, true]);
    deepStrictEqual([kinds(events), bodyIn(events)], ["head body end", "hello"]);
  });

  it("a length of zero", () => {
    strictEqual(kinds(read("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")), "head end");
  });

  it("the largest length", () => {
    strictEqual(
      headIn(read("HTTP/1.1 200 OK\r\nContent-Length: 999999999999999\r\n\r\n")).contentLength,
      999_999_999_999_999,
    );
  });

  it("chunks that arrive together are one piece", () => {
    const events = read(
      'HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n3\r\nhel\r\n1;a="b"\r\nl\r\n001\r\no\r\n0\r\nX: y\r\n\r\n',
    );
    deepStrictEqual([kinds(events), bodyIn(events)], ["head body end", "hello"]);
    deepStrictEqual([headIn(events).chunked, headIn(events).contentLength], [true, -1]);
  });

  it("a body until the connection closes", () => {
    const events = read("HTTP/1.1 200 OK\r\n\r\nhello", { closes: true });
    deepStrictEqual([kinds(events), bodyIn(events)], ["head body end", "hello"]);
    deepStrictEqual([headIn(events).closeDelimited, headIn(events).reusable], [true, false]);
  });

  it("none for HEAD, 204 and 304, whatever they say", () => {
    const long = "Content-Length: 5\r\n\r\n";
    const chunked = "Transfer-Encoding: chunked\r\n\r\n";
    for (const end of [long, chunked, "\r\n"]) {
      strictEqual(kinds(read(`HTTP/1.1 200 OK\r\n${end}`, { headRequest: true })), "head end");
      strictEqual(kinds(read(`HTTP/1.1 204 None\r\n${end}`)), "head end");
      strictEqual(kinds(read(`HTTP/1.1 304 Same\r\n${end}`)), "head end");
    }
    strictEqual(headIn(read(`HTTP/1.1 200 OK\r\n${long}`, { headRequest: true })).contentLength, 5);
  });

  it("1xx before the answer are left out", () => {
    const events = read(
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    );
    deepStrictEqual([kinds(events), headIn(events).lines, headIn(events).status], ["head end", "", 200]);
  });

  it("bytes behind the end are not looked at", () => {
    const events = read("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nabc");
    deepStrictEqual(events.at(-1), { kind: "end", left: 2 });
  });
});

describe("the connection", () => {
  const length = "Content-Length: 0\r\n\r\n";
  const reusable = (text: string) => headIn(read(text)).reusable;

  it("is kept in HTTP/1.1 unless it says close", () => {
    ok(reusable(`HTTP/1.1 200 OK\r\n${length}`));
    ok(reusable(`HTTP/1.1 200 OK\r\nConnection: closed, x-close\r\n${length}`));
    ok(!reusable(`HTTP/1.1 200 OK\r\nConnection: Keep-Alive, CLOSE\r\n${length}`));
    ok(!reusable(`HTTP/1.1 200 OK\r\nConnection: close\r\nConnection: keep-alive\r\n${length}`));
  });

  it("is kept in HTTP/1.0 only if it says so", () => {
    ok(!reusable(`HTTP/1.0 200 OK\r\n${length}`));
    ok(reusable(`HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n${length}`));
  });

  it("is not kept where a body may follow that should not", () => {
    for (const status of [204, 304]) {
      ok(reusable(`HTTP/1.1 ${status} X\r\nContent-Length: 5\r\n\r\n`));
      ok(!reusable(`HTTP/1.1 ${status} X\r\nTransfer-Encoding: chunked\r\n\r\n`));
      ok(reusable(`HTTP/1.1 ${status} X\r\n\r\n`));
    }
  });

  it("has one response after the other", () => {
    strictEqual(kinds(read("HTTP/1.1 200 OK\r\nX: 1\r\nContent-Length: 1\r\n\r\na")), "head body end");
    const next = read("HTTP/1.1 404 No\r\nY: 2\r\nContent-Length: 1\r\n\r\nb");
    deepStrictEqual([headIn(next).lines, headIn(next).status, bodyIn(next)], ["\r\ny: 2", 404, "b"]);
  });

  it("that says something unasked is broken, and remains so", () => {
    read("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    deepStrictEqual(feed(""), []);
    match(reasonIn(feed("HTTP/1.1 200 OK\r\n\r\n")), /no request/);
    strictEqual(kinds(feed("HTTP/1.1 200 OK\r\n\r\n")), "error");
    strictEqual(kinds(addon.closed(parser)), "error");
  });
});

describe("a connection that closes", () => {
  const atEnd = (text: string) => reasonIn(read(text, { closes: true }));

  it("between responses is no event", () => {
    strictEqual(kinds(read("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", { closes: true })), "head end");
  });

  it("before the end is an error that says where", () => {
    match(atEnd(""), /without an answer/);
    match(atEnd("HTTP/1.1 20"), /within the head/);
    match(atEnd("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"), /within the head/);
    match(atEnd("HTTP/1.1 100 Continue\r\n\r\n"), /within the head/);
    match(atEnd("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell"), /end of the body/);
    for (const chunks of ["", "5", "5\r\nhell", "5\r\nhello\r\n", "5\r\nhello\r\n0\r\n", "0\r\nX: y\r\n"]) {
      match(atEnd(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}`), /end of the body/);
    }
  });
});

describe("what is refused", () => {
  for (const [name, { bytes, reason }] of Object.entries(REFUSED)) {
    it(name, () => {
      match(reasonIn(read(bytes)), reason);
      match(reasonIn(readByByte(bytes)), /./);
      ok(!kinds(readByByte(bytes)).includes("end"));
      ok(!kinds(read(bytes, { closes: true })).includes("end"));
    });
  }

  it("what came of the body before the fault is given first", () => {
    const events = read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nworld!");
    deepStrictEqual([kinds(events), bodyIn(events)], ["head body error", "helloworld"]);
  });
});

describe("bounds", () => {
  /** A head of `bytes` bytes with its empty line. */
  function headOf(bytes: number): string {
    const rest = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: \r\n\r\n";
    return rest.replace("X: ", `X: ${"x".repeat(bytes - rest.length)}`);
  }

  function bothWays(text: string): string[] {
    return [read(text), readByByte(text)].map((events) => (kinds(events).endsWith("end") ? "end" : reasonIn(events)));
  }

  const TOO_LARGE = "the head, or the trailers, are too large";

  it("of the head", () => {
    deepStrictEqual(bothWays(headOf(HEAD_BYTES_MAX)), ["end", "end"]);
    deepStrictEqual(bothWays(headOf(HEAD_BYTES_MAX + 1)), [TOO_LARGE, TOO_LARGE]);
  });

  it("of a head without an end", () => {
    strictEqual(reasonIn(read(`HTTP/1.1 200 ${"x".repeat(HEAD_BYTES_MAX)}`)), TOO_LARGE);
    strictEqual(reasonIn(read(`HTTP/1.1 200 OK\r\nX: ${"x".repeat(HEAD_BYTES_MAX)}`)), TOO_LARGE);
  });

  it("of all heads together", () => {
    const informational = "HTTP/1.1 102 Processing\r\n\r\n";
    const many = informational.repeat(Math.ceil(HEAD_BYTES_MAX / informational.length));
    deepStrictEqual(bothWays(`${many}${headOf(50)}`), [TOO_LARGE, TOO_LARGE]);
  });

  it("of trailers", () => {
    const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n";
    const trailers = `X: ${"x".repeat(95)}\r\n`.repeat(HEAD_BYTES_MAX / 100);
    deepStrictEqual(bothWays(`${chunked}${trailers}\r\n`), [TOO_LARGE, TOO_LARGE]);
  });

  it("of a name", () => {
    const longest = "n".repeat(255);
    strictEqual(headWith(`${longest}: v`).lines, `\r\n${longest}: v`);
    match(reasonIn(read(`HTTP/1.1 200 OK\r\nn${longest}: v\r\n\r\n`)), /too long/);
  });

  it("of chunk extensions", () => {
    const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0;";
    deepStrictEqual(bothWays(`${chunked}${"a".repeat(1_023)}\r\n\r\n`), ["end", "end"]);
    match(reasonIn(read(`${chunked}${"a".repeat(1_024)}\r\n\r\n`)), /extensions/);
  });

  it("of the text that is made of a head", () => {
    const large = addon.open([], 65_536);
    const lines = (count: number, line: string) => `HTTP/1.1 200 OK\r\n${line.repeat(count)}Content-Length: 0\r\n\r\n`;
    const encodings = "Content-Encoding:x\r\n";
    const kept = `${encodings}Content-Type:${"t".repeat(20_000)}\r\n${encodings}X-Request-ID:${"i".repeat(20_000)}\r\n`;
    for (const text of [lines(16_300, "a:\r\n"), lines(3_200, encodings), lines(1, kept + encodings.repeat(1_200))]) {
      addon.begin(large, false);
      const { textLength } = headIn(addon.feed(large, Buffer.from(text)));
      ok(textLength > text.length && textLength <= (text.length * 5) / 2, `${textLength} of ${text.length}`);
    }
  });

  it("of what Connection names", () => {
    match(reasonIn(read(`HTTP/1.1 200 OK\r\nConnection: ${"ab,".repeat(90)}\r\n\r\n`)), /names too many/);
  });
});
