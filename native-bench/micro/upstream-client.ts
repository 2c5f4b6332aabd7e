/**
 * What a request to a provider costs on 64 connections, over TCP and over TLS: through the native connections of the addon, and through
 * undici clients on a free list. CPU time of this process; the provider, which gives everybody the same answer, is a child.
 * `--smoke`: a short run.
 */
import { readFileSync } from "node:fs";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { createServer as createTlsServer, DEFAULT_CIPHERS } from "node:tls";
import { fileURLToPath } from "node:url";
import { Client, type Dispatcher } from "undici";
import { native } from "../../src/native/native.ts";
import {
  BODY,
  CONNECTED,
  END,
  EVENT_CONNECTION,
  EVENT_KIND,
  EVENT_STRIDE,
  EVENTS_BEGIN,
  HEAD,
  HEAD_LINES_END,
  HEAD_LINES_START,
  openUpstream,
} from "../../src/native/upstream.ts";
import { Child } from "../contestants/child.ts";
import { report, SMOKE } from "./contest.ts";

const CONNECTIONS = 64;
const REQUESTS = SMOKE ? 500 : 10_000;
const ROUNDS = SMOKE ? 1 : 9;
const NS_PER_US = 1_000;
const PROVIDER = "--provider";
const fixture = (name: string) =>
  readFileSync(fileURLToPath(new URL(`../../test/fixtures/tls/test-only-${name}.pem`, import.meta.url)), "utf8");

const BODY_BYTES = Buffer.from(JSON.stringify({ model: "m", messages: [{ role: "user", content: "x".repeat(200) }] }));
const PATH = "/v1/chat/completions";
const HEADERS = ["authorization", "Bearer sk-0123456789abcdef", "content-type", "application/json", "accept", "*/*"];
const ANSWER = `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: abc\r\ncontent-length: 600\r\n\r\n${"x".repeat(600)}`;

/** Takes what a response gives, so that it is made. */
let sink: unknown;

interface Contender {
  /** Sends the next request on a connection that is free. */
  begin(): void;
}

/** Requests of one round, as many at a time as there are connections. */
class Round {
  #left = REQUESTS;
  #running = 0;
  #done: () => void = () => undefined;

  run(contender: Contender): Promise<void> {
    const done = new Promise<void>((resolve) => {
      this.#done = resolve;
    });
    for (let i = 0; i < CONNECTIONS; i += 1) this.#next(contender);
    return done;
  }

  answered(contender: Contender): void {
    this.#running -= 1;
    if (this.#left > 0) this.#next(contender);
    else if (this.#running === 0) this.#done();
  }

  #next(contender: Contender): void {
    this.#left -= 1;
    this.#running += 1;
    contender.begin();
  }
}

let round = new Round();

class Undici implements Contender {
  readonly #free: Client[];

  constructor(origin: string) {
    const connect = { ca: fixture("ca") };
    const options = { pipelining: 1, allowH2: false, headersTimeout: 0, bodyTimeout: 0, connect } as const;
    this.#free = Array.from({ length: CONNECTIONS }, () => new Client(origin, options));
  }

  begin(): void {
    const client = this.#free.pop();
    const request = { method: "POST", path: PATH, headers: HEADERS.slice(), body: BODY_BYTES } as const;
    client?.dispatch(request, this.#handler(client));
  }

  #handler(client: Client): Dispatcher.DispatchHandler {
    return {
      onRequestStart: () => undefined,
      onResponseStart: (_controller, _status, headers) => {
        sink = headers;
      },
      onResponseData: (_controller, chunk) => {
        sink = chunk;
      },
      onResponseEnd: () => {
        this.#free.push(client);
        round.answered(this);
      },
      onResponseError: (_controller, error) => {
        throw error;
      },
    };
  }

  close(): void {
    for (const client of this.#free) void client.destroy();
  }
}

class Native implements Contender {
  readonly #head: string;
  readonly #free: number[] = [];

  constructor(port: number, context: number) {
    const lines = HEADERS.map((text, i) => (i % 2 === 0 ? `\r\n${text}: ` : text)).join("");
    this.#head = `POST ${PATH} HTTP/1.1\r\nhost: localhost:${port}${lines}\r\ncontent-length: `;
    for (let i = 0; i < CONNECTIONS; i += 1) {
      owners.set(native.upstreamConnect("127.0.0.1", port, context, "localhost"), this);
    }
  }

  connected(id: number): void {
    this.#free.push(id);
  }

  isReady(): boolean {
    return this.#free.length === CONNECTIONS;
  }

  begin(): void {
    native.upstreamSend(
      this.#free.pop() ?? 0,
      `${this.#head}${BODY_BYTES.length}\r\n\r\n`,
      BODY_BYTES,
      BODY_BYTES.length,
      false,
    );
  }

  ended(id: number): void {
    this.#free.push(id);
    round.answered(this);
  }

  close(): void {
    for (const id of this.#free) native.upstreamClose(id);
  }
}

const owners = new Map<number, Native>();
const dropped = ["connection", "content-length", "transfer-encoding", "date", "x-request-id"];
const { events, slab } = openUpstream(native, onEvents, dropped);
const bytes = Buffer.from(slab.buffer, slab.byteOffset, slab.byteLength);
let onReady: () => void = () => undefined;

function onEvents(): void {
  const end = EVENTS_BEGIN + (events[0] ?? 0) * EVENT_STRIDE;
  for (let at = EVENTS_BEGIN; at < end; at += EVENT_STRIDE) hear(at, events[at + EVENT_CONNECTION] ?? 0);
}

function hear(at: number, id: number): void {
  const owner = owners.get(id);
  const kind = events[at + EVENT_KIND];
  if (kind === HEAD) {
    sink = bytes.toString("latin1", events[at + HEAD_LINES_START], events[at + HEAD_LINES_END]);
  } else if (kind === END) {
    owner?.ended(id);
  } else if (kind === CONNECTED) {
    owner?.connected(id);
    onReady();
  } else if (kind !== BODY) {
    throw new Error("a connection failed");
  }
}

async function nativeOf(port: number, context: number): Promise<Native> {
  const made = new Native(port, context);
  await new Promise<void>((resolve) => {
    onReady = () => {
      if (made.isReady()) resolve();
    };
  });
  return made;
}

/** Nanoseconds per request. */
async function timeRound(contender: Contender): Promise<number> {
  round = new Round();
  const begin = process.cpuUsage();
  await round.run(contender);
  const { user, system } = process.cpuUsage(begin);
  return ((user + system) * NS_PER_US) / REQUESTS;
}

async function contest(name: string, port: number, context: number, origin: string): Promise<void> {
  const undici = new Undici(origin);
  const own = await nativeOf(port, context);
  const entries = [
    { name: "native connections", contender: own, rounds: [] as number[] },
    { name: "undici clients", contender: undici, rounds: [] as number[] },
  ];
  for (let i = -1; i < ROUNDS; i += 1) {
    for (const { contender, rounds } of entries) {
      const ns = await timeRound(contender);
      if (i >= 0) rounds.push(ns);
    }
  }
  report(name, "undici clients", entries);
  own.close();
  undici.close();
}

function provide(): void {
  const answer = (socket: Socket) =>
    void socket
      .setNoDelay(true)
      .on("data", () => socket.write(ANSWER))
      .on("error", () => undefined);
  const plain = createServer(answer);
  const encrypted = createTlsServer({ cert: fixture("server"), key: fixture("server.key") }, answer);
  plain.listen(0, "127.0.0.1", () =>
    encrypted.listen(0, "127.0.0.1", () => {
      const [port, tlsPort] = [plain, encrypted].map((server) => (server.address() as AddressInfo).port);
      console.log(JSON.stringify({ port, tlsPort }));
    }),
  );
  // When nobody measures any more.
  process.stdin
    .on("end", () => {
      plain.close();
      encrypted.close();
    })
    .resume();
}

async function main(): Promise<void> {
  const child = new Child(process.execPath, [
    "--disable-warning=ExperimentalWarning",
    fileURLToPath(import.meta.url),
    PROVIDER,
  ]);
  const { port, tlsPort }: { port: number; tlsPort: number } = JSON.parse(await child.firstLine());
  try {
    await contest("a request over TCP", port, -1, `http://127.0.0.1:${port}`);
    const context = native.upstreamTls(fixture("ca"), "", "", DEFAULT_CIPHERS);
    await contest("a request over TLS", tlsPort, context, `https://localhost:${tlsPort}`);
  } finally {
    await child.end("SIGTERM");
  }
  if (sink === events) throw new Error("never");
}

if (process.argv.includes(PROVIDER)) provide();
else await main();
