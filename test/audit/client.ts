/**
 * Clients of an audit: each asks again and again and retries nothing, so that every request that fails is found. They are
 * plain users of HTTP: kept-alive connections, the hints of the server obeyed.
 */
import { Agent, type IncomingMessage, request } from "node:http";
import { setTimeout as delay } from "node:timers/promises";

/** What a client has to know of the gateway. */
export interface Asked {
  readonly key: string;
  readonly baseUrl: string;
}

/** How a client behaves. */
export interface Habit {
  readonly name: string;
  readonly stream: boolean;
  /** A connection for every request. */
  readonly fresh: boolean;
  /** Longest pause between two requests, milliseconds; shorter ones are as likely. */
  readonly pauseMs: number;
  /** What the mock provider is asked for. */
  readonly mock: string;
}

/** A kept-alive connection may be used for 8 s, says the server. */
export const HABITS: readonly Habit[] = [
  { name: "plain", stream: false, fresh: false, pauseMs: 0, mock: "" },
  { name: "fresh", stream: false, fresh: true, pauseMs: 5, mock: "" },
  { name: "stream", stream: true, fresh: false, pauseMs: 10, mock: "" },
  { name: "long", stream: true, fresh: false, pauseMs: 20, mock: "slow-chunks=100" },
  { name: "seldom", stream: false, fresh: false, pauseMs: 7_000, mock: "" },
];

/** What became of each request, by its id: null if it was answered whole, else what went wrong. */
export type Outcomes = Map<string, string | null>;

export interface Stop {
  wanted: boolean;
  readonly signal: AbortSignal;
}

/** Asks until it is told to stop; the request that runs is finished. */
export async function askOn(sluice: Asked, habit: Habit, name: string, outcomes: Outcomes, stop: Stop): Promise<void> {
  const agent = new Agent({ keepAlive: !habit.fresh, maxSockets: 1 });
  for (let i = 0; !stop.wanted; i += 1) {
    const id = `${name}-${i}`;
    outcomes.set(id, "not answered");
    const startedAt = new Date().toISOString();
    const fault = await once(sluice, habit, id, agent);
    outcomes.set(id, fault === null ? null : `${habit.name} ${startedAt}: ${fault}`);
    await delay(Math.random() * habit.pauseMs, undefined, { signal: stop.signal }).catch(() => undefined);
  }
  agent.destroy();
}

function once(sluice: Asked, { stream, mock }: Habit, id: string, agent: Agent): Promise<string | null> {
  const body = JSON.stringify({ model: "gpt-4o", stream, messages: [{ role: "user", content: "Say it." }] });
  const headers = {
    authorization: `Bearer ${sluice.key}`,
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
    "x-request-id": id,
    "x-audit-id": id,
    "x-mock": mock,
  };
  return new Promise((resolve) => {
    const asked = request(`${sluice.baseUrl}/chat/completions`, { method: "POST", headers, agent }, (answer) => {
      void verdictOn(answer, stream).then(resolve);
    });
    asked.on("error", (error: NodeJS.ErrnoException) =>
      resolve(`${error.code ?? error.message}${asked.reusedSocket ? " on a kept connection" : ""}`),
    );
    asked.end(body);
  });
}

async function verdictOn(answer: IncomingMessage, stream: boolean): Promise<string | null> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) chunks.push(chunk);
  } catch (error) {
    return `cut: ${error}`;
  }
  const text = Buffer.concat(chunks).toString();
  if (answer.statusCode !== 200) return `status ${answer.statusCode}: ${text.slice(0, 200)}`;
  if (stream) return text.endsWith("data: [DONE]\n\n") && !text.includes('"error"') ? null : `stream ended early`;
  return text.endsWith("}") ? null : "answer ended early";
}
