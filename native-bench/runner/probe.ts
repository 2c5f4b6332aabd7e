/**
 * What a contestant answers before it is loaded: so that the load generator can check every answer, and so that a contestant that
 * answers something else than the provider is not measured at all. What must hold: an answer says what the provider said, status and
 * content; bytes are checked where two answers in a row have the same.
 */
import { request } from "node:http";
import { text } from "node:stream/consumers";
import { crc32 } from "node:zlib";
import type { Endpoint } from "../contestant.ts";
import type { ExpectedAnswer } from "./load.ts";

const DEADLINE_MS = 30_000;

export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly isStream: boolean;
}

export async function ask(endpoint: Endpoint, body: Buffer, signal: AbortSignal): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const headers = { ...headersOf(endpoint), "content-length": body.length };
  const options = {
    host: "127.0.0.1",
    port: endpoint.port,
    path: endpoint.path,
    method: "POST",
    headers,
    agent: false,
  };
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(DEADLINE_MS)]);
  const asking = request({ ...options, signal: bounded }, (response) => {
    const isStream = response.headers["content-type"]?.startsWith("text/event-stream") ?? false;
    const status = response.statusCode ?? 0;
    text(response).then((whole) => resolve({ status, body: whole, isStream }), reject);
  });
  asking.once("error", reject);
  asking.end(body);
  return promise;
}

function headersOf(endpoint: Endpoint): Record<string, string> {
  return { "content-type": "application/json", ...Object.fromEntries(endpoint.headers) };
}

/** What the load generator is to expect of a contestant; throws when that is not what the provider answered. */
export async function expectationOf(
  endpoint: Endpoint,
  body: Buffer,
  reference: Answer,
  signal: AbortSignal,
): Promise<ExpectedAnswer> {
  const first = await ask(endpoint, body, signal);
  const second = await ask(endpoint, body, signal);
  const problem = difference(reference, first) ?? difference(reference, second);
  if (problem !== null) throw new Error(problem);
  return expectation(first, second);
}

/** Null when `answer` says the same as the provider's. */
export function difference(reference: Answer, answer: Answer): string | null {
  if (answer.status !== reference.status) return `answers ${answer.status}: ${answer.body.slice(0, 300)}`;
  if (answer.isStream !== reference.isStream) return `answers ${answer.isStream ? "with" : "without"} a stream`;
  return contentOf(answer) === contentOf(reference) ? null : `answers other content: ${answer.body.slice(0, 300)}`;
}

export function expectation(first: Answer, second: Answer): ExpectedAnswer {
  const { status, isStream } = first;
  const same = first.body === second.body;
  const bytes = Buffer.from(first.body);
  const sum = crc32(bytes).toString(16).padStart(8, "0");
  const events = eventsOf(first).length;
  const hasEvents = isStream && events === eventsOf(second).length;
  return {
    status,
    kind: isStream ? "stream" : "whole",
    bytes: same ? bytes.length : null,
    crc32: same ? sum : null,
    events: hasEvents ? events : null,
  };
}

function eventsOf({ body }: Answer): string[] {
  return [...body.matchAll(/^data: ?(.*)$/gm)].map(([, data = ""]) => data);
}

interface Completion {
  readonly choices?: readonly { readonly message?: Delta; readonly delta?: Delta }[];
}

interface Delta {
  readonly content?: string | null;
}

/** The text of the answer, of all events of a stream. */
export function contentOf(answer: Answer): string {
  const parts = answer.isStream ? eventsOf(answer).filter((data) => data !== "[DONE]") : [answer.body];
  return parts.map(textIn).join("");
}

function textIn(json: string): string {
  const completion: Completion = JSON.parse(json);
  return (completion.choices ?? []).map(({ message, delta }) => (message ?? delta)?.content ?? "").join("");
}
