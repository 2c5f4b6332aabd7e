/**
 * The demo provider: an OpenAI-shaped server on the loopback, so that a new installation answers before anybody has a
 * provider's key. It takes any credential and any model name. Main thread of a process of its own (process.ts); what must
 * stay true: a client that leaves stops its stream, and no request holds more than BODY_BYTES_MAX.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { chatCompletion } from "./chat.ts";
import { completion } from "./completion.ts";
import { embeddings, moderations } from "./embedding.ts";
import { isObject, type Json } from "./json.ts";
import { createdNow, type DemoEvent, DemoRefusal, type Reply } from "./reply.ts";
import { response } from "./response.ts";

/** Request body, bytes. */
const BODY_BYTES_MAX = 16_777_216;
/** Between two events of a stream, milliseconds: visible, and still quick to the end. */
const EVENT_DELAY_MS = 12;
/** Longer than any client of it keeps an idle connection, milliseconds. */
const KEEP_ALIVE_MS = 120_000;

type Endpoint = (request: Json, model: string, body: Buffer) => Reply;

const ENDPOINTS: ReadonlyMap<string, Endpoint> = new Map<string, Endpoint>([
  ["/v1/chat/completions", chatCompletion],
  ["/v1/completions", completion],
  ["/v1/responses", response],
  ["/v1/embeddings", embeddings],
  ["/v1/moderations", moderations],
]);

export interface DemoServer {
  /** Base URL for a provider's configuration. */
  readonly url: string;
  close(): Promise<void>;
  /** Takes no new connections, and resolves when the last answer is out. */
  finish(): Promise<void>;
}

/** Serves on a free port of 127.0.0.1. `eventDelayMs`: between two events of a stream. */
export async function openDemoServer(eventDelayMs: number = EVENT_DELAY_MS): Promise<DemoServer> {
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, answer) => {
    void respond(request, answer, eventDelayMs);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/v1`, close: () => closed(server), finish: () => finished(server) };
}

function closed(server: Server): Promise<void> {
  const all = finished(server);
  server.closeAllConnections();
  return all;
}

function finished(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
  });
}

async function respond(request: IncomingMessage, answer: ServerResponse, eventDelayMs: number): Promise<void> {
  try {
    const reply = await replyTo(request);
    if (reply.kind === "json") sendJson(answer, 200, reply.body);
    else sendEvents(answer, reply.events, eventDelayMs);
  } catch (error) {
    if (answer.destroyed) return;
    const refusal = error instanceof DemoRefusal ? error : new DemoRefusal(500, "The demo provider failed.");
    // The rest of a refused body is not read: the connection has to go.
    if (!request.complete) answer.setHeader("connection", "close");
    sendJson(answer, refusal.status, refusal.body());
  }
}

async function replyTo(request: IncomingMessage): Promise<Reply> {
  const path = new URL(request.url ?? "/", "http://demo").pathname;
  if (path === "/v1/models" && request.method === "GET") return models();
  const endpoint = ENDPOINTS.get(path);
  if (endpoint === undefined) throw new DemoRefusal(404, `The demo provider has no ${path}.`, null, "unknown_url");
  if (request.method !== "POST") throw new DemoRefusal(405, `${path} takes POST only.`, null, "method_not_allowed");
  const body = await bodyOf(request);
  const parsed = parse(body);
  const model = parsed["model"];
  if (typeof model !== "string") throw new DemoRefusal(400, "You must provide a model parameter.", "model");
  return endpoint(parsed, model, body);
}

function models(): Reply {
  const model = { id: "demo", object: "model", created: createdNow(), owned_by: "sluice" };
  return { kind: "json", body: { object: "list", data: [model] } };
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) throw new DemoRefusal(413, `The demo provider takes ${BODY_BYTES_MAX} bytes at most.`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function parse(body: Buffer): Json {
  const value = parsedOrUndefined(body);
  if (isObject(value)) return value;
  throw new DemoRefusal(400, "We could not parse the JSON body of your request.");
}

function parsedOrUndefined(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    return undefined;
  }
}

function sendJson(answer: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body);
  answer.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(text) });
  answer.end(text);
}

/** One event per tick, so that the stream can be seen to stream; ends with the client, whoever leaves first. */
function sendEvents(answer: ServerResponse, events: readonly DemoEvent[], eventDelayMs: number): void {
  answer.writeHead(200, { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache" });
  answer.flushHeaders();
  let next = 0;
  const timer = setInterval(() => {
    const event = events[next];
    next += 1;
    if (event !== undefined) answer.write(encode(event));
    else answer.end();
  }, eventDelayMs);
  answer.on("close", () => clearInterval(timer));
  answer.on("finish", () => clearInterval(timer));
}

function encode({ event, data }: DemoEvent): string {
  const name = event === undefined ? "" : `event: ${event}\n`;
  return `${name}data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`;
}
