/** What a provider can do to a connection, and what both transports have to make of it. Raw sockets, one attempt at a time. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { after, describe, test } from "node:test";
import { UPSTREAM_HEADER_BYTES_MAX } from "../../src/base/limits.ts";
import type { Origin } from "../../src/upstream/origin.ts";
import { ScriptedProvider } from "../support/request-path.ts";
import { TRANSPORTS, type TransportKind } from "../support/transport-names.ts";
import { ANSWER, ask, begun, GOOD, Heard, originOf, REQUEST } from "../support/transports.ts";
import { until, within } from "../support/until.ts";

const provider = await ScriptedProvider.start(() => undefined);
after(() => provider.stop());

const OK = "HTTP/1.1 200 OK\r\n";

interface Answer {
  readonly what: string;
  readonly bytes: string;
  readonly expected: readonly string[];
  readonly method?: string;
  /** The provider closes behind it. */
  readonly closes?: boolean;
}

const CHUNKED = `${OK}transfer-encoding: chunked\r\n\r\n`;
const ANSWERS: readonly Answer[] = [
  { what: "a length", bytes: `${OK}content-length: 5\r\n\r\nhello`, expected: ["head 200", "hello", "end"] },
  { what: "no byte", bytes: `${OK}content-length: 0\r\n\r\n`, expected: ["head 200", "end"] },
  { what: "chunks", bytes: `${CHUNKED}2\r\nhe\r\n3;a=b\r\nllo\r\n0\r\n\r\n`, expected: ["head 200", "hello", "end"] },
  { what: "trailers", bytes: `${CHUNKED}5\r\nhello\r\n0\r\nx-a: 1\r\n\r\n`, expected: ["head 200", "hello", "end"] },
  { what: "a body up to the close", bytes: `${OK}\r\nhello`, expected: ["head 200", "hello", "end"], closes: true },
  {
    what: "heads of no meaning",
    bytes: `HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n${OK}content-length: 2\r\n\r\nok`,
    expected: ["head 200", "ok", "end"],
  },
  { what: "a 204", bytes: "HTTP/1.1 204 No Content\r\n\r\n", expected: ["head 204", "end"] },
  {
    what: "a 304 with a length",
    bytes: "HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n",
    expected: ["head 304", "end"],
  },
  { what: "an answer to HEAD", bytes: `${OK}content-length: 7\r\n\r\n`, expected: ["head 200", "end"], method: "HEAD" },
];

/** Bytes that neither implementation may take for an answer. */
const MALFORMED: readonly [string, string][] = [
  ["no HTTP", "SSH-2.0-OpenSSH_9.2\r\n\r\n"],
  ["another version", "HTTP/3.0 200 OK\r\ncontent-length: 2\r\n\r\n{}"],
  ["a status of two digits", "HTTP/1.1 20 OK\r\ncontent-length: 2\r\n\r\n{}"],
  ["two lengths", `${OK}content-length: 2\r\ncontent-length: 3\r\n\r\n{}`],
  ["a negative length", `${OK}content-length: -2\r\n\r\n{}`],
  ["a length that is no number", `${OK}content-length: 2x\r\n\r\n{}`],
  ["a length and chunks", `${OK}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`],
  ["a header without a colon", `${OK}content-length 2\r\n\r\n{}`],
  ["a header name with a space", `${OK}x a: 1\r\ncontent-length: 2\r\n\r\n{}`],
  ["a NUL in a value", `${OK}x-a: \0\r\ncontent-length: 2\r\n\r\n{}`],
  ["a head without end", `${OK}x-a: ${"a".repeat(2 * UPSTREAM_HEADER_BYTES_MAX)}`],
];

/** What breaks behind the head. */
const MALFORMED_BODIES: readonly [string, string][] = [
  ["a chunk size that is no number", `${CHUNKED}2\r\n{}\r\nxyz\r\n`],
  ["a chunk without its line break", `${CHUNKED}2\r\n{}00\r\n`],
];

function holds(kind: TransportKind): void {
  const opened = (connections = 4): Origin => {
    const origin = originOf(kind, `http://127.0.0.1:${provider.port}`, { connections, queue: 0 });
    after(() => origin.retire());
    return origin;
  };

  for (const { what, bytes, expected, method = "POST", closes = false } of ANSWERS) {
    test(`an answer with ${what}, cut in two at every byte`, async () => {
      const origin = opened();
      for (let cut = 1; cut <= bytes.length; cut += 1) {
        provider.script = (socket) => {
          socket.write(bytes.slice(0, cut));
          setImmediate(() => (closes ? socket.end(bytes.slice(cut)) : socket.write(bytes.slice(cut))));
        };
        const { events } = await ask(origin, { method });
        deepStrictEqual(events, ["sent", ...expected], `cut at ${cut}`);
      }
      if (closes) await until("the connection is gone", () => origin.connections === 0);
      else strictEqual(origin.connections, 1);
    });
  }

  test("an answer byte by byte", async () => {
    const origin = opened();
    for (const { bytes, expected, method = "POST", closes = false } of ANSWERS) {
      provider.script = (socket) => {
        for (const byte of bytes) socket.write(byte);
        if (closes) socket.end();
      };
      deepStrictEqual((await ask(origin, { method })).events, ["sent", ...expected]);
    }
  });

  test("what a head says", async () => {
    const lines = [
      "Content-Type: text/event-stream",
      "X-Request-ID: theirs",
      "X-A:  1",
      "Date: x",
      "Content-Length: 2",
    ];
    provider.script = (socket) =>
      socket.write(`${OK}${lines.join("\r\n")}\r\nConnection: X-Gone\r\nx-gone: 1\r\n\r\n{}`);
    const { head } = await ask(opened());
    deepStrictEqual(head, {
      status: 200,
      lines: "\r\ncontent-type: text/event-stream\r\nx-a: 1",
      contentType: "text/event-stream",
      contentEncoding: "",
      upstreamRequestId: "theirs",
      contentLength: 2,
      closeDelimited: false,
    });
  });

  for (const [what, bytes] of MALFORMED) {
    test(`${what} is refused, and the connection with it`, async () => {
      const origin = opened();
      provider.script = (socket) => socket.write(bytes);
      const { events } = await ask(origin);
      deepStrictEqual([events, origin.connections], [["sent", "upstream_protocol_error"], 0]);
    });
  }

  for (const [what, bytes] of MALFORMED_BODIES) {
    test(`${what} cuts the answer`, async () => {
      const origin = opened();
      provider.script = (socket) => socket.write(bytes);
      const { events } = await ask(origin);
      deepStrictEqual(
        [events.slice(0, 2), events.at(-1), origin.connections],
        [["sent", "head 200"], "upstream_cut", 0],
      );
    });
  }

  const CUTS: readonly [string, string, string][] = [
    ["before the head", "", "upstream_reset"],
    ["within the head", `${OK}content-le`, "upstream_reset"],
    ["within a body of known length", `${OK}content-length: 9\r\n\r\n{}`, "upstream_cut"],
    ["within a chunk", `${CHUNKED}9\r\n{}`, "upstream_cut"],
    ["between chunks", `${CHUNKED}2\r\n{}\r\n`, "upstream_cut"],
    ["before the last line break", `${CHUNKED}2\r\n{}\r\n0\r\n`, "upstream_cut"],
  ];

  for (const [where, bytes, expected] of CUTS) {
    test(`an answer that ends ${where} is no answer`, async () => {
      const origin = opened();
      provider.script = (socket) => socket.end(bytes);
      const { events } = await ask(origin);
      deepStrictEqual([events.at(-1), origin.connections], [expected, 0]);
    });

    test(`a reset ${where} is told`, async () => {
      const origin = opened();
      const heard = new Heard();
      let socket: Socket | null = null;
      provider.script = (accepted) => {
        socket = accepted;
        if (bytes !== "") accepted.write(bytes);
      };
      begun(origin, heard);
      const seen = expected === "upstream_cut" ? "head 200" : "sent";
      await until("it went so far", () => socket !== null && heard.events.includes(seen));
      (socket as Socket | null)?.resetAndDestroy();
      await within("the end of the attempt", heard.over);
      deepStrictEqual([heard.events.at(-1), origin.connections], [expected, 0]);
    });
  }

  test("heads that come in pieces on many connections at a time", async () => {
    const origin = opened(64);
    const half = `${OK}x-large: ${"a".repeat(UPSTREAM_HEADER_BYTES_MAX - 200)}`;
    const waiting: Socket[] = [];
    provider.script = (socket) => {
      socket.write(half);
      waiting.push(socket);
    };
    const all = Array.from({ length: 64 }, () => begun(origin).heard);
    await until("all have half a head", () => waiting.length === 64);
    for (const socket of waiting) socket.write("\r\ncontent-length: 2\r\n\r\n{}");
    await within("all answers", Promise.all(all.map(({ over }) => over)));
    for (const { events } of all) deepStrictEqual(events, GOOD);
  });

  test("bytes behind an answer cost the connection, and are no part of the next answer", async () => {
    const origin = opened();
    provider.script = (socket) => socket.write(`${ANSWER}HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n`);
    deepStrictEqual((await ask(origin)).events, GOOD);
    provider.script = (socket) => socket.write(ANSWER);
    deepStrictEqual((await ask(origin)).events, GOOD);
  });

  // undici looks at what has come in the next turn only.
  const unasked = async () => {
    const origin = opened();
    for (let i = 0; i < 50; i += 1) {
      provider.script = (socket) => {
        socket.write(ANSWER);
        socket.write("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n");
      };
      const first = begun(origin).heard;
      const next = new Heard();
      // In the turn in which the first one ends.
      const { onEnd } = Heard.prototype;
      first.onEnd = () => {
        onEnd.call(first);
        provider.script = (socket) => socket.write(ANSWER);
        setImmediate(() => origin.send(REQUEST, next, false));
      };
      await within("both", Promise.all([first.over, next.over]));
      deepStrictEqual([first.events, next.events], [GOOD, GOOD]);
    }
  };
  if (kind === "native") test("bytes that wait behind an answer are no answer to the next request", unasked);

  test("an answer that says close ends its connection", async () => {
    const origin = opened();
    provider.script = (socket) => socket.write(`${OK}connection: close\r\ncontent-length: 2\r\n\r\n{}`);
    deepStrictEqual((await ask(origin)).events, GOOD);
    await until("it is gone", () => origin.connections === 0);
  });

  test("an answer to the head alone arrives, and the rest of the body is not sent", async () => {
    const origin = opened();
    const before = provider.bytesTotal;
    provider.script = (socket) => {
      socket.pause();
      socket.write("HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno");
    };
    const { events } = await ask(origin, { body: Buffer.alloc(64 * 1_048_576) });
    deepStrictEqual(events, ["sent", "head 413", "no", "end"]);
    await until("it is gone", () => origin.connections === 0);
    ok(provider.bytesTotal - before < 16 * 1_048_576);
  });

  test("a large body arrives as it was, at a provider that reads slowly", async () => {
    const body = randomBytes(24 * 1_048_576);
    const parts: Buffer[] = [];
    const slow = createServer((socket) => {
      socket.on("error", () => socket.destroy());
      socket.on("data", (bytes) => {
        const [head = bytes] = parts.push(bytes) === 1 ? [bytes] : parts;
        socket.pause();
        setImmediate(() => socket.resume());
        const length = head.indexOf("\r\n\r\n") + 4 + body.length;
        if (parts.reduce((sum, part) => sum + part.length, 0) === length) socket.write(ANSWER);
      });
    }).listen(0, "127.0.0.1");
    await once(slow, "listening");
    const origin = originOf(kind, `http://127.0.0.1:${(slow.address() as AddressInfo).port}`);
    const { events } = await ask(origin, { body });
    origin.retire();
    slow.close();
    deepStrictEqual(events, GOOD);
    ok(Buffer.concat(parts).subarray(-body.length).equals(body));
  });

  test("a paused answer holds the provider back, and loses nothing", async () => {
    const body = randomBytes(32 * 1_048_576);
    const origin = opened();
    const served: Socket[] = [];
    provider.script = (socket) => {
      served.push(socket);
      socket.write(`${OK}content-length: ${body.length}\r\n\r\n`);
      socket.write(body);
    };
    const heard = new Heard();
    const { attempt } = begun(origin, heard);
    let pauses = 0;
    heard.onChunk = (chunk) => {
      heard.chunks.push(Buffer.from(chunk));
      pauses += 1;
      if (pauses === 1) attempt.pause();
    };
    await until("a chunk came", () => pauses > 0);
    const [socket] = served;
    const stuck = await until("the provider is held back", () => {
      const size = socket?.writableLength ?? 0;
      return size > 0 && size === socket?.writableLength ? size : undefined;
    });
    ok(stuck > 8 * 1_048_576, `${stuck} bytes wait`);
    ok(heard.body.length < 8 * 1_048_576);
    attempt.resume();
    await within("the end of the answer", heard.over);
    ok(heard.body.equals(body));
    strictEqual(heard.events.at(-1), "end");
  });

  const STATES: readonly [string, string, (heard: Heard) => boolean][] = [
    ["was sent", "", ({ events }) => events.includes("sent")],
    ["has a head", `${OK}content-length: 9\r\n\r\n`, ({ head }) => head !== null],
    ["has a part of its body", `${CHUNKED}2\r\n{}\r\n`, ({ chunks }) => chunks.length > 0],
  ];

  for (const [state, bytes, reached] of STATES) {
    test(`an attempt that ${state} is cancelled: its connection ends and nothing more is told`, async () => {
      const origin = opened();
      const served: Socket[] = [];
      provider.script = (socket) => {
        served.push(socket);
        if (bytes !== "") socket.write(bytes);
      };
      const { attempt, heard } = begun(origin);
      const socket = await until("the provider has it", () => (reached(heard) ? served[0] : undefined));
      const events = [...heard.events];
      attempt.cancel();
      attempt.pause();
      attempt.resume();
      strictEqual(origin.connections, 0);
      if (!socket.destroyed) await within("the end of the connection", once(socket, "close"));
      deepStrictEqual(heard.events, events);
    });
  }

  test("an attempt that is cancelled in its own call is over", async () => {
    const origin = opened();
    provider.script = (socket) => socket.write(`${CHUNKED}2\r\n{}\r\n2\r\n{}\r\n0\r\n\r\n`);
    for (const call of ["onHead", "onChunk"] as const) {
      const heard = new Heard();
      const { attempt } = begun(origin, heard);
      let calls = 0;
      heard[call] = () => {
        calls += 1;
        attempt.cancel();
      };
      await until("it was called", () => calls > 0);
      deepStrictEqual((await ask(origin)).events, ["sent", "head 200", "{}{}", "end"]);
      deepStrictEqual([calls, heard.events.includes("end")], [1, false]);
    }
  });

  test("a port that nobody listens on is unreachable", async () => {
    const heard = await ask(originOf(kind, "http://127.0.0.1:1"));
    deepStrictEqual([heard.events, heard.connecting], [["upstream_unreachable"], true]);
    ok(/refused/i.test(heard.cause), heard.cause);
  });

  test("a name that has no address is unreachable", async () => {
    const heard = await ask(originOf(kind, "http://nowhere.invalid"));
    deepStrictEqual(heard.events, ["upstream_unreachable"]);
  });

  test("localhost is reached on the family that listens", async () => {
    provider.script = (socket) => socket.write(ANSWER);
    const origin = originOf(kind, `http://localhost:${provider.port}`);
    after(() => origin.retire());
    deepStrictEqual((await ask(origin)).events, GOOD);
  });
}

for (const kind of TRANSPORTS) describe(`over ${kind}`, () => holds(kind));
