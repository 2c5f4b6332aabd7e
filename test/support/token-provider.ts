/**
 * A provider that answers each request with nothing but the request's own token, in the way that the request asks for, and says which
 * bodies were not of one token. A body is {"model","stream","way","text"}, the text a token again and again.
 */

import type { AddressInfo } from "node:net";
import { createServer, type Server, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

/** How it answers: as a whole, in chunks, as a stream, not at all, with an end in the middle, late, with an error. */
export const WAYS = ["whole", "chunked", "stream", "reset", "cut", "cut stream", "silent", "late", "error"] as const;
export type Way = (typeof WAYS)[number];

const TOKEN = /tok[0-9]+x/g;
const HEAD = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
const SSE = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
const EVENTS = 6;
const LATE_MS = 20;
/** So that what was written before has arrived. */
const CUT_AFTER_MS = 3;

/** The tokens in a text, each once. */
export function tokensIn(text: string): string[] {
  return [...new Set(text.match(TOKEN))];
}

interface Asked {
  readonly way: Way;
  readonly text: string;
}

export class TokenProvider {
  /** Requests whose body had bytes of another one, or was none. */
  readonly mixed: string[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor() {
    this.#server = createServer((socket) => this.#serve(socket));
  }

  static async start(): Promise<TokenProvider> {
    const provider = new TokenProvider();
    await new Promise<void>((resolve) => provider.#server.listen(0, "127.0.0.1", resolve));
    return provider;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  stop(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }

  #serve(socket: Socket): void {
    let bytes = "";
    this.#sockets.add(socket);
    socket.setNoDelay(true).setEncoding("latin1");
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("data", (text: string) => {
      bytes += text;
      const headEnd = bytes.indexOf("\r\n\r\n") + 4;
      const end = headEnd + Number(/content-length: (\d+)/.exec(bytes.slice(0, headEnd))?.[1] ?? Infinity);
      if (headEnd < 4 || bytes.length < end) return;
      const body = bytes.slice(headEnd, end);
      bytes = bytes.slice(end);
      void this.#answer(socket, body);
    });
  }

  async #answer(socket: Socket, body: string): Promise<void> {
    const tokens = tokensIn(body);
    const asked = askedIn(body);
    const [token = ""] = tokens;
    if (tokens.length !== 1 || asked === null || asked.text.replaceAll(token, "") !== "") this.mixed.push(body);
    if (asked !== null) await ANSWERS[asked.way](socket, token);
  }
}

function askedIn(body: string): Asked | null {
  try {
    return JSON.parse(body) as Asked;
  } catch {
    return null;
  }
}

function whole(token: string, bytes: number): string {
  return JSON.stringify({ text: token.repeat(Math.ceil(bytes / token.length)) });
}

function chunk(text: string): string {
  return `${text.length.toString(16)}\r\n${text}\r\n`;
}

function event(token: string): string {
  return chunk(`data: {"choices":[{"delta":{"content":"${token.repeat(9)}"}}]}\n\n`);
}

/** Some turns of the loop later: others have their turn meanwhile. */
async function later(socket: Socket, text: string, ms: number): Promise<void> {
  await delay(ms);
  socket.write(text, "latin1");
}

async function stream(socket: Socket, token: string, end: string): Promise<void> {
  socket.write(SSE);
  for (let i = 0; i < EVENTS; i += 1) await later(socket, event(token), i % 3);
  socket.write(`${chunk(end)}0\r\n\r\n`);
}

function complete(socket: Socket, token: string, bytes: number): void {
  const body = whole(token, bytes);
  socket.write(`${HEAD}content-length: ${body.length}\r\n\r\n${body}`);
}

const ANSWERS: Readonly<Record<Way, (socket: Socket, token: string) => unknown>> = {
  whole: (socket, token) => complete(socket, token, 300),
  late: async (socket, token) => {
    await delay(LATE_MS);
    complete(socket, token, 40_000);
  },
  chunked: async (socket, token) => {
    const body = whole(token, 6_000);
    socket.write(`${HEAD}transfer-encoding: chunked\r\n\r\n${chunk(body.slice(0, 900))}`);
    await later(socket, `${chunk(body.slice(900))}0\r\n\r\n`, 2);
  },
  stream: (socket, token) => stream(socket, token, "data: [DONE]\n\n"),
  "cut stream": async (socket, token) => {
    socket.write(SSE + event(token));
    await delay(CUT_AFTER_MS);
    socket.destroy();
  },
  cut: async (socket, token) => {
    socket.write(`${HEAD}content-length: 90000\r\n\r\n${whole(token, 5_000)}`);
    await delay(CUT_AFTER_MS);
    socket.destroy();
  },
  reset: (socket) => socket.resetAndDestroy(),
  silent: () => undefined,
  error: (socket, token) => {
    const body = JSON.stringify({ error: { message: token } });
    socket.write(`HTTP/1.1 429 Too Many Requests\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
  },
};
