/** Requests that are shed: the loop of the process is kept busy, and what comes then is refused as cheaply as it can be. */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { after, test } from "node:test";
import { ERRORS } from "../../src/base/errors.ts";
import { GAUGE_SHEDDING, SHED } from "../../src/shm/layout.ts";
import { FarEnd } from "../support/far-end.ts";
import { RawClient } from "../support/raw-client.ts";
import { chunkedRequest, requestBytes } from "../support/raw-request.ts";
import { headerOf, type RawResponse } from "../support/raw-response.ts";
import { configOf, providerConfig, RequestPath } from "../support/request-path.ts";
import { until } from "../support/until.ts";

const BODY = '{"model":"other"}';
const DELAY_MS = 5;

const BOUNDS = {
  ...{ bodyBytes: 1_048_576, bodyBytesInFlight: 268_435_456, jsonDepth: 64 },
  ...{ connectionsPerProvider: 200, queuePerProvider: 200 },
};

const provider = await FarEnd.start(false);
provider.script = ({ request, response }) => {
  provider.seen = [];
  request.resume().on("end", () => response.writeHead(200, { "content-length": 2 }).end("{}"));
};
const providers = { main: providerConfig(0, { baseUrl: `${provider.url}/v1` }) };
const path = await RequestPath.start({ port: 0 }, { shedDelayMs: DELAY_MS, bounds: BOUNDS, providers });
after(() => {
  path.stop();
  provider.stop();
});

function burn(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

/**
 * Every turn of the loop is a long one, until this is undone: those in which a crowd of this process hears its answers, too, while nobody
 * asks.
 */
function dragged(): { undo(): void } {
  let handle: NodeJS.Immediate;
  const drag = () => {
    burn(2 * DELAY_MS);
    handle = setImmediate(drag);
  };
  handle = setImmediate(drag);
  return { undo: () => clearImmediate(handle) };
}

/** Every request takes so long before it is looked at, until this is undone. */
function slow(ms: number): { undo(): void } {
  const { pipeline } = path;
  const refuses = pipeline.refuses.bind(pipeline);
  pipeline.refuses = (startedMs) => {
    burn(ms);
    return refuses(Math.max(startedMs, performance.now()));
  };
  return {
    undo: () => {
      pipeline.refuses = refuses;
    },
  };
}

function shed(): number {
  return path.counters.sum()[SHED] ?? 0;
}

/** Asks again and again until `done` says so; its connection may be closed by an answer. */
async function asks(done: () => boolean): Promise<void> {
  const small = requestBytes({ body: BODY });
  while (!done()) {
    const client = await RawClient.connect(path.port);
    while (!done() && !client.ended) await client.ask(small);
    client.leave();
  }
}

/** Has many ask without end, and then this one, until it is refused, which is told meanwhile. */
async function overloaded(request: Buffer): Promise<{ answer: RawResponse; client: RawClient }> {
  const busy = slow(0.4);
  const long = dragged();
  let isDone = false;
  const crowd = Promise.all(Array.from({ length: 40 }, () => asks(() => isDone)));
  try {
    return await until("it is refused", async () => {
      const client = await RawClient.connect(path.port);
      const answer = await client.ask(request);
      if (answer.status === 503) {
        await until("it is told", sheds);
        return { answer, client };
      }
      client.leave();
      return undefined;
    });
  } finally {
    isDone = true;
    await crowd;
    long.undo();
    busy.undo();
  }
}

/** As the worker tells. */
function sheds(): boolean {
  return path.counters.sum()[GAUGE_SHEDDING] === 1;
}

async function atRest(): Promise<void> {
  await until("nothing is in flight", () => path.pipeline.inFlight === 0);
}

test("a request is refused with 503 and retry-after, and its connection goes on", async () => {
  const sent = requestBytes({ body: BODY, headers: { "x-request-id": "mine" } });
  const before = shed();
  const { answer, client } = await overloaded(sent);
  ok(shed() > before);
  const { type, code } = JSON.parse(answer.body.toString()).error;
  deepStrictEqual([type, code], ["server_error", "overloaded"]);
  const headers = ["retry-after", "content-type", "x-request-id"].map((name) => headerOf(answer, name));
  deepStrictEqual(headers, ["1", "application/json", "mine"]);
  strictEqual(headerOf(answer, "x-should-retry"), "");
  await until("it is calm again", async () => (await client.ask(requestBytes({ body: BODY }))).status === 200);
  await until("nothing is told of it any more", () => !sheds());
  // More of an answer may wait for half of what a turn may take, and no longer than requests are shed.
  await until("nothing waits any more", () => path.patiencesMs.at(-1) === 0);
  deepStrictEqual(path.patiencesMs.slice(0, 2), [Math.round(DELAY_MS / 2), 0]);
  client.leave();
  await atRest();
});

/** From now on everything is refused, until this is undone. */
function refusing(): { undo(): void } {
  const { pipeline } = path;
  const before = pipeline.refuses;
  pipeline.refuses = () => true;
  return {
    undo: () => {
      pipeline.refuses = before;
    },
  };
}

test("it leaves no record, and nothing is in flight", async () => {
  const records = path.records().length;
  const all = refusing();
  const client = await RawClient.connect(path.port);
  for (let i = 0; i < 3; i += 1) {
    strictEqual((await client.ask(requestBytes({ body: BODY }))).status, 503);
    strictEqual((await client.ask(requestBytes({ body: "x".repeat(60_000) }))).status, 503);
  }
  all.undo();
  strictEqual((await client.ask(requestBytes({ body: BODY }))).status, 200);
  deepStrictEqual(
    path
      .records()
      .slice(records)
      .map(({ status }) => status),
    [200],
  );
  client.leave();
  await atRest();
});

test("those behind the first one of a turn are refused with the same answer, and counted", async () => {
  const all = refusing();
  const before = shed();
  let asked = 0;
  let first = 0;
  const { pipeline } = path;
  const { refuses } = pipeline;
  pipeline.refuses = (startedMs) => {
    first += 1;
    return refuses(startedMs);
  };
  const clients = await Promise.all(Array.from({ length: 50 }, () => RawClient.connect(path.port)));
  const known = new Set<string>();
  const sent = requestBytes({ body: BODY });
  await until("some were refused by the addon", async () => {
    const answers = await Promise.all(clients.map((client) => client.ask(sent)));
    asked += answers.length;
    for (const answer of answers) {
      known.add(headerOf(answer, "x-request-id"));
      deepStrictEqual(linesOf(answer), linesOf(answers[0]));
      deepStrictEqual(answer.body, answers[0]?.body);
    }
    return first < asked && shed() - before === asked - first;
  });
  strictEqual(known.size, asked);
  all.undo();
  for (const client of clients) strictEqual((await client.ask(sent)).status, 200);
  for (const client of clients) client.leave();
  await atRest();
});

/** Lines of the head but for those that differ; the package writes one of its own. */
function linesOf(answer: RawResponse | undefined): string[] {
  const lines = (answer?.headers ?? []).map(([name, value]) => `${name.toLowerCase()}: ${value}`);
  return lines.filter((line) => !/^(date|x-request-id|uwebsockets): ./.test(line)).sort();
}

test("one whose body is not dropped in passing, or that is no POST, is refused in the usual way", async () => {
  const text = Buffer.from(`{"model":"other","x":"${"x".repeat(100_000)}"}`);
  const all = refusing();
  for (const request of [
    requestBytes({ body: text }),
    chunkedRequest(text, 10_000),
    requestBytes({ method: "GET", target: "/v1/models", headers: { "content-length": "" }, body: "" }),
    requestBytes({ body: BODY, headers: { connection: "close" } }),
  ]) {
    const records = path.records().length;
    const client = await RawClient.connect(path.port);
    const answer = await client.ask(request);
    match(answer.body.toString(), /"overloaded"/);
    deepStrictEqual([answer.status, headerOf(answer, "retry-after")], [503, "1"]);
    deepStrictEqual(
      path
        .records()
        .slice(records)
        .map(({ error }) => error),
      [ERRORS.overloaded.number],
    );
    client.leave();
  }
  all.undo();
  await atRest();
});

test("what is wrong with a request's framing costs its connection, also while others are shed", async () => {
  const all = refusing();
  const client = await RawClient.connect(path.port);
  await client.send(requestBytes({ body: BODY, headers: { "Content-Length": "5" } }));
  strictEqual(await client.response(), null);
  all.undo();
  await atRest();
});

test("nothing is shed where it is off", async () => {
  await path.reload(configOf(providers, path.dataDir, { bounds: BOUNDS }));
  const before = shed();
  const busy = slow(0.5);
  const clients = await Promise.all(Array.from({ length: 100 }, () => RawClient.connect(path.port)));
  for (let round = 0; round < 5; round += 1) {
    const answers = await Promise.all(clients.map((client) => client.ask(requestBytes({ body: BODY }))));
    ok(answers.every(({ status }) => status === 200));
  }
  busy.undo();
  for (const client of clients) client.leave();
  strictEqual(shed(), before);
  await atRest();
});
