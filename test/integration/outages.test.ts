/**
 * Outages that come and go under constant load, with the real program and two workers: of requests that are sent before, during and after,
 * whole and streamed, none fails, and the provider has its requests again when it is back.
 */
import { deepStrictEqual, ok } from "node:assert/strict";
import { after, test } from "node:test";
import { mockProvider, standardConfig } from "../support/config.ts";
import { chat, streamChat } from "../support/http-client.ts";
import { ScriptedProvider } from "../support/request-path.ts";
import { Sluice } from "../support/sluice.ts";
import { until } from "../support/until.ts";
import { Upstream } from "../support/upstream.ts";

const CLIENTS = 8;
const FAILURES = 5;
const WHOLE = '{"id":"1","object":"chat.completion","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}';
const STREAM = 'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n';
const answer = (status: string, type: string, body: string) =>
  `HTTP/1.1 ${status}\r\ncontent-type: ${type}\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
type Socket = Parameters<Parameters<typeof ScriptedProvider.start>[0]>[0];

/** What the provider does in an outage. */
const OUTAGES: Readonly<Record<string, (socket: Socket) => void>> = {
  "closes connections": (socket) => socket.destroy(),
  "resets in the head": (socket) => socket.write("HTTP/1.1 200 OK\r\ncontent-", () => socket.resetAndDestroy()),
  "resets behind the head": (socket) =>
    socket.write("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n", () =>
      socket.resetAndDestroy(),
    ),
  "does not answer": () => undefined,
  "answers with 500": (socket) => socket.write(answer("500 No", "application/json", "{}")),
  "answers with 429": (socket) => socket.write(answer("429 Slow", "application/json", "{}")),
};

let outage: ((socket: Socket) => void) | null = null;
/** Good answers. */
let answered = 0;
/** Requests that met the outage. */
let met = 0;
const sick = await ScriptedProvider.start((socket, received) => {
  const text = received.toString("latin1");
  const [head = "", body = ""] = text.slice(text.lastIndexOf("POST /")).split("\r\n\r\n");
  if (body.length < Number(/content-length: (\d+)/.exec(head)?.[1])) return;
  if (outage !== null) {
    met += 1;
    outage(socket);
    return;
  }
  answered += 1;
  const streams = body.includes('"stream":true');
  socket.write(streams ? answer("200 OK", "text/event-stream", STREAM) : answer("200 OK", "application/json", WHOLE));
});
const well = await Upstream.start();
const sluice = await Sluice.start(well, {
  ...standardConfig(well),
  workers: 2,
  timeouts: { drain: "5s", first_byte: "300ms" },
  providers: { sick: mockProvider(`http://127.0.0.1:${sick.port}/v1`), well: mockProvider(well.url) },
  models: {
    several: {
      targets: [
        { provider: "sick", model: "m" },
        { provider: "well", model: "m" },
      ],
    },
  },
  passthrough: "well",
  prices: {},
  breaker: { failures: String(FAILURES), cooldown: "500ms", cooldown_max: "1s" },
});
after(async () => {
  await sluice.stop();
  sick.stop();
  await well.stop();
});

/** Clients that ask until they are told to stop. */
class Load {
  count = 0;
  readonly broken: string[] = [];
  #stopped = false;
  readonly #clients = Promise.all(Array.from({ length: CLIENTS }, (_, i) => this.#client(i)));

  async #client(turn: number): Promise<void> {
    const body = { model: "several", messages: [{ role: "user", content: "Say it." }] };
    for (let i = turn; !this.#stopped; i += 1) {
      const { status, text } = await (i % 2 === 0 ? chat : streamChat)(sluice, "", body);
      this.count += 1;
      if (status !== 200 || !(text.startsWith("{") || text.endsWith("data: [DONE]\n\n"))) this.broken.push(text);
    }
  }

  /** Until so many more were answered. */
  async more(requests: number): Promise<void> {
    const enough = this.count + requests;
    await until(`${requests} more requests`, () => this.count >= enough || undefined);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#clients;
  }
}

const opensOf = () => sluice.metric("sluice_target_opens_total", { provider: "sick", model: "m" });

for (const [name, fault] of Object.entries(OUTAGES)) {
  test(`a provider that ${name} for a while fails no request, and is used again after it`, async () => {
    const load = new Load();
    await load.more(100);
    const opens = await opensOf();
    outage = fault;
    met = 0;
    await load.more(600);
    const tries = met;
    const probes = (await opensOf()) - opens;
    outage = null;
    answered = 0;
    await until("the provider has requests again", () => answered >= 50 || undefined);
    await load.stop();
    deepStrictEqual(load.broken, []);
    // The failures that open it, what was on its way, and the probes; a connection that is closed counts for a stale one at first.
    const most = 2 * (FAILURES + CLIENTS + probes);
    ok(tries <= most, `${tries} requests to a dead provider, with ${probes} probes`);
  });
}
