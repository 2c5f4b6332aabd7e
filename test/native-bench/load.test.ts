/** The load generator: what it sends, counts and measures. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { crc32 } from "node:zlib";
import { hdrIndexOf } from "../../src/base/hdr-geometry.ts";
import { until } from "../support/until.ts";
import { chunked, events, Liar, whole } from "./liar.ts";
import {
  buildPrograms,
  countFrom,
  load,
  loadUntilTerminated,
  Mock,
  request,
  runProgram,
  specification,
  tryLoad,
  withFile,
} from "./programs.ts";

const CLOSED_ONE = { kind: "closed", connections: 1 };
const STREAM = { expect: { status: 200, kind: "stream", events: 24 } };

let mock: Mock;

before(async () => {
  await buildPrograms();
  mock = await Mock.start("--chunks", "21");
});
after(() => mock.stop());

function total(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

test("a closed loop counts every request once, in the summary and in the histograms", async () => {
  const { summary, intervals } = await load(specification(mock.port, { warmUpMs: 100 }));
  assert.ok(summary.requests > 0);
  assert.equal(summary.right, summary.requests);
  assert.equal(total(summary.wrong), 0);
  assert.equal(countFrom({ summary, intervals }, "total"), summary.requests);
  assert.equal(countFrom({ summary, intervals }, "ttft"), summary.requests);
  assert.equal(countFrom({ summary, intervals }, "gap"), 0);
  assert.equal(summary.seconds, 0.2);
  assert.ok(Math.abs(summary.requestsPerSecond * summary.seconds - summary.requests) < 0.01);
  assert.ok(summary.begun > summary.requests, "the warm-up is not measured");
  assert.ok(summary.cpuUserUs + summary.cpuSystemUs > 0 && summary.bytesIn > 0 && summary.bytesOut > 0);
  assert.equal(summary.unsent, 0);
});

test("intervals are in order, without gaps, and end with the window", async () => {
  const begunMs = Date.now();
  const { intervals } = await load(specification(mock.port, { durationMs: 250 }));
  const totals = intervals.filter(({ metric }) => metric === "total");
  assert.equal(totals.length, 3);
  assert.deepEqual(
    totals.slice(1).map(({ startMs }) => startMs),
    totals.slice(0, -1).map(({ endMs }) => endMs),
  );
  const [first, last] = [totals[0], totals.at(-1)];
  assert.ok(first !== undefined && last !== undefined && first.startMs >= begunMs - 1 && first.startMs <= Date.now());
  assert.ok(Math.abs(last.endMs - first.startMs - 250) < 0.01);
});

test("an open loop begins exactly as many requests as its rate says", async () => {
  const mode = { kind: "open", ratePerSecond: 500, connectionsMax: 50 };
  const { summary } = await load(specification(mock.port, { mode, warmUpMs: 100, durationMs: 400 }));
  assert.equal(summary.requests, 200);
  assert.equal(summary.right, 200);
  assert.equal(summary.begun, 250);
});

test("threads share connections and arrivals", async () => {
  const open = { kind: "open", ratePerSecond: 500, connectionsMax: 9 };
  const { summary } = await load(specification(mock.port, { mode: open, durationMs: 400, threads: 3 }));
  assert.equal(summary.right, 200);
  const closed = await load(specification(mock.port, { threads: 3 }));
  assert.equal(closed.summary.connectionsOpened, 4);
  assert.equal(countFrom(closed, "total"), closed.summary.right);
});

test("an open loop counts from the intended start when answers are late", async () => {
  const stalled = 20;
  let stalledAt = 0;
  const server = await Liar.start(({ socket, number }) => {
    const say = () => void socket.write(whole("ok"));
    if (number !== stalled) return say();
    stalledAt = performance.now();
    setTimeout(say, 300);
  });
  const mode = { kind: "open", ratePerSecond: 200, connectionsMax: 1 };
  const report = await load(specification(server.port, { mode, durationMs: 500 }));
  await server.stop();
  assert.ok(stalledAt > 0);
  assert.equal(report.summary.right, 100);
  // Sixty requests were intended while one took 300 ms: two thirds of them more than 100 ms before its end.
  assert.ok(countFrom(report, "total", hdrIndexOf(100e6)) >= 35);
});

test("requests that never found a connection are unsent", async () => {
  const server = await Liar.start(() => {});
  const mode = { kind: "open", ratePerSecond: 100, connectionsMax: 2 };
  const { summary } = await load(specification(server.port, { mode, drainMs: 0, durationMs: 300 }));
  await server.stop();
  assert.equal(summary.wrong["timeout"], 2);
  assert.equal(summary.unsent, 28);
});

test("a stream has a first event, and a gap per further content event", async () => {
  await withFile('{"stream": true}', async (bodyFile) => {
    const report = await load(
      specification(mock.port, { requests: [request({ ...STREAM, bodyFile })], durationMs: 100 }),
    );
    const { summary } = report;
    assert.ok(summary.right > 0);
    assert.equal(total(summary.wrong), 0);
    assert.equal(countFrom(report, "ttft"), summary.right);
    assert.ok(summary.events >= 24 * (summary.right - 4));
  });
});

test("events that come one by one have a gap each", async () => {
  const server = await Liar.start(({ socket }) => {
    const [first = "", ...rest] = events(3);
    socket.write(`HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n${first}`);
    const next = () => {
      const event = rest.shift();
      if (event === undefined) return void socket.end();
      socket.write(event, () => setTimeout(next, 20));
    };
    setTimeout(next, 20);
  });
  const requests = [request({ expect: { status: 200, kind: "stream", events: 4 } })];
  const spec = { requests, mode: CLOSED_ONE, durationMs: 1_000 };
  const report = await load(specification(server.port, spec));
  await server.stop();
  const { right } = report.summary;
  assert.ok(right > 0);
  // Those of a stream that the window's end cut are in, too.
  assert.ok(countFrom(report, "gap", hdrIndexOf(10e6)) >= 2 * (right - 1));
  assert.ok(countFrom(report, "gap") <= 2 * (right + 1));
});

test("answers are put together from any pieces", async () => {
  const answers = [chunked(...events(2)), chunked("data: 1\r\n\r\nda", "ta: 2\r\n\r", "\ndata: [DO", "NE]\r\n\r\n")];
  const server = await Liar.start(({ socket, number }) => {
    const bytes = [...(answers[number % 2] ?? "")];
    const next = () => {
      const byte = bytes.shift();
      if (byte !== undefined) socket.write(byte, () => setImmediate(next));
    };
    next();
  });
  const requests = [request({ expect: { status: 200, kind: "stream", events: 3 } })];
  const { summary } = await load(specification(server.port, { requests, mode: CLOSED_ONE, durationMs: 300 }));
  await server.stop();
  assert.ok(summary.right >= 2, JSON.stringify(summary));
  assert.equal(summary.right, summary.requests);
});

test("interim answers, extensions and trailers are skipped", async () => {
  const body = "5;a=b\r\nhello\r\n0\r\nX-T: 1\r\n\r\n";
  const answer = `HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${body}`;
  const server = await Liar.saying(answer);
  const crc = crc32("hello").toString(16).padStart(8, "0");
  const requests = [request({ expect: { status: 200, kind: "whole", bytes: 5, crc32: crc } })];
  const { summary } = await load(specification(server.port, { requests }));
  await server.stop();
  assert.ok(summary.right > 0);
  assert.equal(total(summary.wrong), 0);
});

test("bodies arrive whole, also those that take several writes", async () => {
  const big = Buffer.alloc(1_000_000, "sluice ");
  const seen = new Set<string>();
  const server = await Liar.start(({ socket, head, body }) => {
    seen.add(`${body.length} ${crc32(body)} ${head.split("\r\n")[0]}`);
    socket.write(whole("ok"));
  });
  await withFile(big, async (bodyFile) => {
    const { summary } = await load(specification(server.port, { requests: [request({ bodyFile })] }));
    assert.ok(summary.right > 0);
    assert.ok(summary.bytesOut > big.length);
  });
  await server.stop();
  assert.deepEqual([...seen], [`1000000 ${crc32(big)} POST /v1/chat/completions HTTP/1.1`]);
});

test("large answers are checked to the last byte", async () => {
  const body = "0123456789abcdef".repeat(65_536);
  const expect = { status: 200, kind: "whole", bytes: body.length, crc32: crc32(body).toString(16).padStart(8, "0") };
  const server = await Liar.saying(whole(body));
  const { summary } = await load(specification(server.port, { requests: [request({ expect })] }));
  await server.stop();
  assert.ok(summary.right > 0);
  assert.equal(total(summary.wrong), 0);
});

test("checksums are those of zlib, at every length", async () => {
  const letters = Buffer.from(Array.from({ length: 400 }, (_, number) => (number * 151) % 251)).toString("latin1");
  const server = await Liar.start(({ socket, head }) => {
    const body = letters.slice(0, Number(/^GET \/(\d+)/.exec(head)?.[1]));
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`, "latin1");
    for (const part of [body.slice(0, 150), body.slice(150)]) socket.write(part, "latin1");
  });
  const requests = Array.from(letters, (_, bytes) => {
    const sum = crc32(Buffer.from(letters.slice(0, bytes), "latin1"))
      .toString(16)
      .padStart(8, "0");
    return request({ method: "GET", path: `/${bytes}`, expect: { status: 200, kind: "whole", bytes, crc32: sum } });
  });
  const mode = { kind: "open", ratePerSecond: 5_000, connectionsMax: 8 };
  const { summary } = await load(specification(server.port, { requests, mode, durationMs: 800 }));
  await server.stop();
  assert.equal(summary.right, 4_000, JSON.stringify(summary.wrong));
});

test("requests are mixed by weight, the same way every time", async () => {
  const paths: string[] = [];
  const server = await Liar.start(({ socket, head }) => {
    paths.push(head.split(" ")[1] ?? "");
    socket.write(whole("ok"));
  });
  const requests = [request({ path: "/three", weight: 3 }), request({ path: "/one", weight: 1 })];
  const mode = { kind: "open", ratePerSecond: 1_000, connectionsMax: 1 };
  const spec = specification(server.port, { requests, mode, durationMs: 400 });
  await load(spec);
  const first = paths.splice(0);
  await load(spec);
  await server.stop();
  assert.deepEqual(paths, first);
  const threes = first.filter((path) => path === "/three").length;
  assert.equal(first.length, 400);
  assert.ok(threes > 270 && threes < 330, `${threes} of 400`);
});

test("requests with a name are measured apart as well, those that share it together", async () => {
  const named = (name: string | null, weight: number) => request({ name, weight });
  const requests = [named("small", 3), named("large-1", 1), named(null, 2), named("small", 1)];
  const result = await load(specification(mock.port, { requests, threads: 2 }));
  const [all, small, large] = ["total", "small", "large-1"].map((metric) => countFrom(result, metric));
  assert.equal(all, result.summary.right);
  assert.ok(small !== undefined && large !== undefined && large > 0 && small > 2 * large, `${small}, ${large}`);
  assert.ok(all !== undefined && small + large < all);
});

test("a connection has as many requests as asked", async () => {
  const onConnection: number[] = [];
  const server = await Liar.start((heard) => {
    onConnection.push(heard.onConnection);
    heard.socket.write(whole("ok"));
  });
  const { summary } = await load(specification(server.port, { requestsPerConnection: 3 }));
  await server.stop();
  assert.equal(Math.max(...onConnection), 2);
  assert.ok(summary.connectionsOpened >= summary.requests / 3 - 4);
  assert.equal(total(summary.wrong), 0);
});

test("streams are cut after as many events as asked, and counted", async () => {
  let cut = 0;
  const server = await Liar.start(({ socket }) => {
    const [first, second] = events(3);
    socket.once("close", () => {
      cut += 1;
    });
    socket.write(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n`);
    for (const event of [first, second]) socket.write(`${event?.length.toString(16)}\r\n${event}\r\n`);
  });
  const requests = [request({ expect: { status: 200, kind: "stream" } })];
  const { summary } = await load(specification(server.port, { requests, abort: { share: 1, afterEvents: 2 } }));
  assert.ok(summary.aborted > 0);
  assert.equal(summary.aborted, summary.requests);
  await until("every connection is closed", () => cut === server.accepted);
  await server.stop();
});

/** Between two parts of an answer: long enough for the generator to be given a CPU. */
const PAUSE_MS = 50;

test("a share of the requests is cut, the others end as they should", async () => {
  const server = await Liar.start(({ socket }) => {
    socket.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst", () =>
      setTimeout(() => socket.write("later"), PAUSE_MS),
    );
  });
  const mode = { kind: "open", ratePerSecond: 500, connectionsMax: 100 };
  const { summary } = await load(specification(server.port, { mode, durationMs: 400, abort: { share: 0.5 } }));
  await server.stop();
  assert.equal(summary.requests, 200);
  assert.ok(summary.aborted > 0 && summary.aborted <= 140);
  assert.equal(summary.right, 200 - summary.aborted);
});

test("idle connections are held, and opened again when the server closes them", async () => {
  const server = await Liar.start(({ socket }) => void socket.write(whole("ok")));
  const running = load(specification(server.port, { idleConnections: 20, durationMs: 1_500, mode: CLOSED_ONE }));
  const [victim] = await until("all connections are open", () => (server.open.size === 21 ? [...server.open] : null));
  const before = server.accepted;
  victim?.destroy();
  await until("it was opened again", () => server.accepted > before && server.open.size === 21);
  const { summary } = await running;
  await server.stop();
  assert.ok(summary.right > 0);
});

test("SIGTERM ends it early, with a summary of what there was", async () => {
  const { summary } = await loadUntilTerminated(specification(mock.port, { durationMs: 300_000, warmUpMs: 50 }));
  assert.ok(summary.seconds < 300);
  assert.equal(summary.right, summary.requests);
  assert.equal(total(summary.wrong), 0);
});

const REFUSED: readonly (readonly [string, Record<string, unknown>, RegExp])[] = [
  ["another machine", { target: { host: "192.0.2.1", port: 80 } }, /not a loopback address/],
  ["a name", { target: { host: "example.org", port: 80 } }, /not a loopback address/],
  ["a wildcard", { target: { host: "0.0.0.0", port: 80 } }, /not a loopback address/],
  ["a mapped address", { target: { host: "::ffff:192.0.2.1", port: 80 } }, /not a loopback address/],
  ["no port", { target: { host: "127.0.0.1", port: 0 } }, /spec.target.port/],
  ["a misspelt key", { warmupMs: 1 }, /spec.warmupMs is not known/],
  ["too many connections", { mode: { kind: "closed", connections: 1e6 } }, /spec.mode.connections/],
  ["a rate of zero", { mode: { kind: "open", ratePerSecond: 0, connectionsMax: 1 } }, /spec.mode.ratePerSecond/],
  ["too long a run", { durationMs: 600_001 }, /spec.durationMs/],
  ["too many intervals", { durationMs: 600_000, intervalMs: 10 }, /spec.intervalMs/],
  ["no requests", { requests: [] }, /spec.requests/],
  ["a body that is not there", { requests: [request({ bodyFile: "/nowhere" })] }, /\/nowhere/],
  ["a header with a line break", { requests: [request({ headers: [["a", "b\r\nc: d"]] })] }, /printable ASCII/],
  ["its own header", { requests: [request({ headers: [["Content-Length", "1"]] })] }, /set by the generator/],
  ["a metric's name", { requests: [request({ name: "ttft" })] }, /spec.requests\[0\].name/],
  ["a name of two words", { requests: [request({ name: "two words" })] }, /spec.requests\[0\].name/],
  ["a path with a blank", { requests: [request({ path: "/a b" })] }, /spec.requests\[0\].path/],
  ["an unknown kind", { requests: [request({ expect: { status: 200, kind: "half" } })] }, /expect.kind/],
  ["a bad checksum", { requests: [request({ expect: { status: 200, kind: "whole", crc32: "xyz" } })] }, /crc32/],
];

for (const [what, overrides, message] of REFUSED) {
  test(`refuses ${what}`, async () => {
    const { code, stdout, stderr } = await tryLoad(specification(mock.port, overrides));
    assert.deepEqual([code, stdout], [2, ""]);
    assert.match(stderr, message);
  });
}

test("refuses what is not JSON", async () => {
  const { code, stderr } = await withFile("{", async (path) => runProgram("load", [path]));
  assert.equal(code, 2);
  assert.match(stderr, /is not JSON/);
});
