/** A plain HTTP client for requests that are well-formed: fetch, with the key and the answer read whole. */
import type { Sluice } from "./sluice.ts";

export interface Asked {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as it is; an object is printed as JSON. */
  readonly body?: string | Buffer<ArrayBuffer> | object;
  readonly signal?: AbortSignal;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly requestId: string;
}

/** Sends to `path` (after /v1) with the sluice's key. */
export async function ask(sluice: Sluice, path: string, asked: Asked = {}): Promise<Answer> {
  const response = await open(sluice, path, asked);
  return {
    status: response.status,
    headers: response.headers,
    text: await response.text(),
    requestId: response.headers.get("x-request-id") ?? "",
  };
}

/** The same, with the body of the answer still to be read. */
export async function open(sluice: Sluice, path: string, asked: Asked = {}): Promise<Response> {
  const { body, signal } = asked;
  const headers = { authorization: `Bearer ${sluice.key}`, "content-type": "application/json", ...asked.headers };
  const bytes = typeof body === "object" && !Buffer.isBuffer(body) ? JSON.stringify(body) : body;
  const method = asked.method ?? (body === undefined ? "GET" : "POST");
  return fetch(sluice.baseUrl + path, { method, headers, body: bytes ?? null, signal: signal ?? null });
}

/** A chat completion. `fault`: what the mock is asked to do. */
export async function chat(sluice: Sluice, fault = "", body: string | object = CHAT): Promise<Answer> {
  return ask(sluice, "/chat/completions", { body, headers: { "x-mock": fault } });
}

/** A streamed chat completion, read whole. */
export async function streamChat(sluice: Sluice, fault = "", fields: object = {}): Promise<Answer> {
  return chat(sluice, fault, { ...CHAT, stream: true, ...fields });
}

const CHAT = { model: "gpt-4o", messages: [{ role: "user", content: "Say it." }] };

/** The `error` object of an answer. */
export function errorOf(answer: { readonly text: string }): Readonly<Record<string, unknown>> {
  const { error } = JSON.parse(answer.text);
  return error;
}
