/** Builds request bytes by hand. Pure. */
import { KEY } from "./config.ts";

export interface RequestForm {
  readonly method?: string;
  readonly target?: string;
  /** Replaces the standard ones with the same name; an empty value leaves the header out. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

export const CHAT = "/v1/chat/completions";
export const CHAT_BODY = '{"model":"gpt-4o","messages":[{"role":"user","content":"Say it."}]}';
export const STREAM_BODY = '{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"Say it."}]}';

/** A request with host, key and content-length; by default a chat completion. */
export function requestBytes(form: RequestForm = {}): Buffer {
  const { method = "POST", target = CHAT, headers = {} } = form;
  const body = Buffer.from(form.body ?? CHAT_BODY);
  const standard = { host: "sluice.test", authorization: `Bearer ${KEY}`, "content-length": String(body.length) };
  const all = Object.entries({ ...standard, "content-type": "application/json", ...headers });
  const lines = all.filter(([, value]) => value !== "").map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([Buffer.from(`${method} ${target} HTTP/1.1\r\n${lines.join("")}\r\n`, "latin1"), body]);
}

/** The same request as a head with `transfer-encoding: chunked` and the body in chunks of these sizes. */
export function chunkedRequest(
  body: Buffer,
  chunkBytes: number,
  headers: Readonly<Record<string, string>> = {},
): Buffer {
  const framing = { "content-length": "", "transfer-encoding": "chunked" };
  const head = requestBytes({ headers: { ...framing, ...headers }, body: "" });
  const chunks: Buffer[] = [head];
  for (let at = 0; at < body.length; at += chunkBytes) {
    const part = body.subarray(at, at + chunkBytes);
    chunks.push(Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from("\r\n"));
  }
  return Buffer.concat([...chunks, Buffer.from("0\r\n\r\n")]);
}
