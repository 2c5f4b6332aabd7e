/** The mock provider: OpenAI's shapes, the faults that it was asked for, and HTTP that every client understands. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, type IncomingMessage, request } from "node:http";
import { connect } from "node:net";
import { buffer } from "node:stream/consumers";
import { before, test } from "node:test";
import OpenAI from "openai";
import { hdrIndexOf } from "../../src/base/hdr-geometry.ts";
import { within } from "../support/until.ts";
import { buildPrograms, load, request as loadRequest, Mock, runProgram, specification, withFile } from "./programs.ts";

before(buildPrograms);

const CHAT = '{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}';
const STREAM = '{"model":"gpt-4o", "stream" : true, "messages":[]}';

async function withMock<T>(options: readonly string[], use: (mock: Mock) => Promise<T>): Promise<T> {
  const mock = await Mock.start(...options);
  try {
    return await use(mock);
  } finally {
    assert.equal(await mock.stop(), 0);
  }
}

function post(mock: Mock, body: string | ReadableStream, path = "/chat/completions"): Promise<Response> {
  return fetch(`${mock.url}${path}`, { method: "POST", body, duplex: "half" } as RequestInit);
}

function eventsOf(text: string): string[] {
  return text.split("\n\n").filter((event) => event !== "");
}

interface Event {
  readonly choices: readonly { readonly delta: { readonly content?: string }; readonly finish_reason: string | null }[];
  readonly usage?: { readonly total_tokens: number };
}

function parsed(events: readonly string[]): Event[] {
  return events.filter((event) => event !== "data: [DONE]").map((event) => JSON.parse(event.slice("data: ".length)));
}

test("a completion has 600 bytes, or as many as asked", async () => {
  for (const [options, bytes] of [[[], 600] as const, [["--answer-bytes", "100000"], 100_000] as const]) {
    await withMock(options, async (mock) => {
      const text = await (await post(mock, CHAT)).text();
      assert.equal(text.length, bytes);
      const answer: { object: string; usage: { total_tokens: number } } = JSON.parse(text);
      assert.deepEqual([answer.object, answer.usage.total_tokens], ["chat.completion", 110]);
    });
  }
});

test("a stream has its content events, finish, usage and [DONE]", async () => {
  for (const delayMs of ["0", "1"]) {
    await withMock(["--chunks", "7", "--chunk-delay-ms", delayMs], async (mock) => {
      const response = await post(mock, STREAM);
      assert.match(response.headers.get("content-type") ?? "", /^text\/event-stream/);
      const events = eventsOf(await response.text());
      assert.equal(events.length, 10);
      assert.equal(events.at(-1), "data: [DONE]");
      const chunks = parsed(events);
      assert.equal(chunks.filter(({ choices }) => choices[0]?.delta.content === " word").length, 7);
      assert.equal(chunks[7]?.choices[0]?.finish_reason, "stop");
      assert.equal(chunks[8]?.usage?.total_tokens, 110);
    });
  }
});

test("usage can be off, and there may be no content", async () => {
  for (const delayMs of ["0", "1"]) {
    await withMock(["--chunks", "0", "--usage", "off", "--chunk-delay-ms", delayMs], async (mock) => {
      const events = eventsOf(await (await post(mock, STREAM)).text());
      assert.equal(events.length, 2);
      assert.equal(parsed(events)[0]?.usage, undefined);
    });
  }
});

test("a content event is as long as asked", async () => {
  await withMock(["--chunks", "3", "--chunk-bytes", "1000"], async (mock) => {
    const events = eventsOf(await (await post(mock, STREAM)).text());
    assert.deepEqual(
      events.slice(0, 3).map(({ length }) => length),
      [998, 998, 998],
    );
    assert.equal(parsed(events).length, 5);
  });
});

test("the official SDK understands all of it", async () => {
  await withMock(["--chunks", "4", "--chunk-delay-ms", "1"], async (mock) => {
    const client = new OpenAI({ baseURL: mock.url, apiKey: "x", maxRetries: 0 });
    const model = "gpt-4o";
    const messages = [{ role: "user", content: "hi" }] as const;
    const whole = await client.chat.completions.create({ model, messages: [...messages] });
    assert.match(whole.choices[0]?.message.content ?? "", /^I am sorry/);
    let text = "";
    const stream = await client.chat.completions.create({ model, messages: [...messages], stream: true });
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
    assert.equal(text, " word word word word");
    const format = { encoding_format: "float" } as const;
    const embeddings = await client.embeddings.create({ model, input: "hi", ...format });
    assert.equal(embeddings.data[0]?.embedding.length, 256);
    const models = await client.models.list();
    assert.deepEqual(
      models.data.map(({ id }) => id),
      ["gpt-4o", "text-embedding-3-small"],
    );
  });
});

test("what is not there is a 404", async () => {
  await withMock([], async (mock) => {
    const response = await fetch(`${mock.url}/nothing`);
    assert.equal(response.status, 404);
    assert.equal(((await response.json()) as { error: { code: string } }).error.code, "unknown_url");
  });
});

test("a body in chunks is read like any other", async () => {
  await withMock(["--chunks", "2"], async (mock) => {
    const pieces = [...STREAM].map((letter) => new TextEncoder().encode(letter));
    const text = await (await post(mock, ReadableStream.from(pieces))).text();
    assert.equal(eventsOf(text).length, 5);
    assert.match(await (await post(mock, ReadableStream.from([new TextEncoder().encode(CHAT)]))).text(), /^\{"id"/);
  });
});

const WHOLES: readonly (readonly [string, string])[] = [
  ["false", '{"stream":false}'],
  ["a text", '{"stream":"true"}'],
  ["within a text", '{"content":"say \\"stream\\": true"}'],
  ["another name", '{"streams":true,"s":"","xstream":true}'],
  ["cut", '{"stream":tru'],
];

for (const [what, body] of WHOLES) {
  test(`a stream that is ${what} is not asked for`, async () => {
    await withMock([], async (mock) => {
      assert.equal((await post(mock, body)).headers.get("content-type"), "application/json");
    });
  });
}

test("a stream is found anywhere in a large body", async () => {
  await withMock(["--chunks", "1"], async (mock) => {
    for (const before of [0, 1, 15, 16, 17, 262_120, 262_143, 262_144, 3_000_000]) {
      const body = `{"x":"${"s".repeat(before)}","\\"s":1,"stream":\n\ttrue}`;
      assert.equal(eventsOf(await (await post(mock, body)).text()).length, 4, `${before} bytes before`);
    }
  });
});

test("a connection is kept, unless the client wants it closed", async () => {
  await withMock([], async (mock) => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const first = await send(mock, agent);
    const second = await send(mock, agent);
    assert.equal(second, first, "the same local port");
    agent.destroy();
    const socket = connect(mock.port, "127.0.0.1");
    socket.write(`POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}`);
    const answer = await within("the end of the connection", buffer(socket));
    assert.match(answer.toString(), /^HTTP\/1\.1 200 OK\r\n/);
  });
});

/** One request; the local port of its connection. */
async function send(mock: Mock, agent: Agent): Promise<number | undefined> {
  const asking = request(`${mock.url}/chat/completions`, { method: "POST", agent }).end(CHAT);
  const [response]: IncomingMessage[] = await once(asking, "response");
  const port = asking.socket?.localPort;
  if (response !== undefined) await buffer(response);
  return port;
}

test("what is no request is answered with 400 and the end of the connection", async () => {
  await withMock([], async (mock) => {
    for (const bytes of ["\r\n\r\n", "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", "\n"]) {
      const socket = connect(mock.port, "127.0.0.1");
      socket.write(bytes);
      assert.match((await within("the end", buffer(socket))).toString(), /^HTTP\/1\.1 400 /);
    }
  });
});

test("a share of the requests fails, the same ones with the same seed", async () => {
  const options = ["--error-share", "0.3", "--error-status", "429", "--seed", "7"];
  const runs: number[][] = [];
  for (let run = 0; run < 2; run += 1) {
    await withMock(options, async (mock) => {
      const statuses: number[] = [];
      for (let i = 0; i < 40; i += 1) {
        const response = await post(mock, CHAT);
        statuses.push(response.status);
        const answer = (await response.json()) as { error?: { type: string } };
        assert.equal(answer.error?.type, response.status === 429 ? "rate_limit_error" : undefined);
      }
      runs.push(statuses);
    });
  }
  assert.deepEqual(runs[0], runs[1]);
  const failed = runs[0]?.filter((status) => status === 429).length ?? 0;
  assert.ok(failed > 4 && failed < 24, `${failed} of 40`);
});

test("resets come in the middle of an answer, whole or in parts", async () => {
  for (const body of [CHAT, STREAM]) {
    for (const delayMs of ["0", "1"]) {
      await withMock(["--reset-share", "1", "--chunk-delay-ms", delayMs], async (mock) => {
        const response = await post(mock, body);
        assert.equal(response.status, 200);
        await assert.rejects(response.text());
      });
    }
  }
});

test("stalls: a stream stops in its middle, another answer never begins", async () => {
  await withMock(["--stall-share", "1", "--chunks", "6", "--chunk-delay-ms", "1"], async (mock) => {
    const stream = await post(mock, STREAM);
    const reader = stream.body?.getReader();
    let text = "";
    while (eventsOf(text).length < 4) text += Buffer.from((await reader?.read())?.value ?? []).toString();
    await reader?.cancel();
    const never = loadRequest({ expect: { status: 200, kind: "whole" } });
    const { summary } = await load(specification(mock.port, { requests: [never], timeoutMs: 50 }));
    assert.equal(summary.wrong["timeout"], summary.requests);
    assert.equal(summary.bytesIn, 0);
  });
});

test("latency, jitter and the pace of chunks are kept", async () => {
  await withMock(
    ["--latency-ms", "40", "--jitter-ms", "20", "--chunks", "5", "--chunk-delay-ms", "10"],
    async (mock) => {
      await withFile(STREAM, async (bodyFile) => {
        const expect = { status: 200, kind: "stream", events: 8 };
        const mode = { kind: "closed", connections: 10 };
        const requests = [loadRequest({ bodyFile, expect })];
        const { summary, intervals } = await load(specification(mock.port, { requests, mode, durationMs: 400 }));
        assert.equal(summary.right, summary.requests);
        assert.ok(summary.right >= 10);
        // Never earlier than the latency less its jitter, and five delays behind it.
        const least = intervals
          .filter(({ metric }) => metric === "total")
          .flatMap(({ counts }) => counts[0]?.[0] ?? []);
        assert.ok(Math.min(...least) >= hdrIndexOf(69.9e6));
      });
    },
  );
});

const REFUSED: readonly (readonly [readonly string[], RegExp])[] = [
  [["--nothing", "1"], /--nothing is not known/],
  [["--port"], /--port needs a value/],
  [["--port", "65536"], /--port must be/],
  [["--latency-ms", "-1"], /--latency-ms must be/],
  [["--latency-ms", "1x"], /--latency-ms must be/],
  [["--chunks", "1.5"], /--chunks must be a whole number/],
  [["--usage", "yes"], /--usage must be on or off/],
  [["--answer-bytes", "10"], /--answer-bytes must be at least/],
  [["--chunk-bytes", "10"], /--chunk-bytes must be at least/],
  [["--error-share", "0.6", "--stall-share", "0.6"], /more than 1 together/],
  [["--error-status", "200"], /--error-status must be/],
];

for (const [args, message] of REFUSED) {
  test(`refuses ${args.join(" ")}`, async () => {
    const { code, stderr } = await runProgram("mock", args);
    assert.equal(code, 2);
    assert.match(stderr, message);
  });
}
