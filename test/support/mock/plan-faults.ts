/** Faults that change the answer itself: `x-mock: NAME[=ARG]`. Pure. */
import { gzipSync } from "node:zlib";
import { bigBytes, bigEvents, endlessEvents } from "./big-body.ts";
import { CHAT_USAGE } from "./chat-answers.ts";
import type { Entry } from "./journal.ts";
import { bodyOf, bytesPlan, dataEvent, errorPlan, firstHalf, type HeaderList, type Plan, ssePlan } from "./plan.ts";
import { headerOf } from "./request-reader.ts";

export type PlanFault = (plan: Plan, arg: string, entry: Entry) => Plan;

/** Times that a key of `fail=KEY:TIMES` was answered with 500. */
const failures = new Map<string, number>();
/** Requests that came with `rate-limit=KEY:LIMIT`, by key. */
const limited = new Map<string, number>();

export const PLAN_FAULTS: Readonly<Record<string, PlanFault>> = {
  status: (_plan, arg) => errorPlan(Number(arg), `mock status ${arg}`, [["retry-after", "0"]]),
  "status-401-leaking": (_plan, _arg, entry) =>
    errorPlan(401, `Incorrect API key provided: ${headerOf(entry.head, "authorization")}`),
  "status-403-leaking": (_plan, _arg, entry) =>
    errorPlan(403, `No access with ${headerOf(entry.head, "authorization")}`),
  "status-204": (plan) => ({ ...plan, status: 204, headers: [], pieces: [] }),
  "html-error": () => ({ ...bytesPlan("text/html", Buffer.from("<h1>502 Bad Gateway</h1>")), status: 502 }),
  fail: failSome,
  "rate-limit": limitSome,
  "no-usage": (plan) => withoutUsage(plan),
  "usage-chunk": (plan) => withUsage(plan),
  "error-event": (plan) => ({ ...plan, pieces: [...firstHalf(plan), errorEvent()] }),
  "early-end": (plan) => ({ ...plan, pieces: firstHalf(plan) }),
  "close-delimited": (plan) => ({ ...plan, framing: "close" }),
  chunked: (plan) => ({ ...plan, framing: "chunked" }),
  "big-stream": (_plan, arg) => ({ ...ssePlan([]), pieces: bigEvents(Number(arg)) }),
  "endless-stream": () => ({ ...ssePlan([]), pieces: endlessEvents() }),
  "big-body": (_plan, arg) => bytesPlan("application/octet-stream", Buffer.concat(Array.from(bigBytes(Number(arg))))),
  "split-every-byte": (plan) => ({ ...plan, pieces: everyByte(plan) }),
  "one-piece": (plan) => ({ ...plan, pieces: [bodyOf(plan)] }),
  crlf: (plan) => ({ ...plan, pieces: Array.from(plan.pieces, withCrlf) }),
  comments: (plan) => ({ ...plan, pieces: [Buffer.from(": keep-alive\n\n"), ...plan.pieces] }),
  "set-cookie": (plan) =>
    withHeaders(plan, [
      ["set-cookie", "session=1"],
      ["set-cookie", "other=2"],
    ]),
  "hop-by-hop": (plan) => withHeaders(plan, HOP_BY_HOP),
  "openai-headers": (plan) => withHeaders(plan, OPENAI_HEADERS),
  "huge-header": (plan, arg) => withHeaders(plan, [["x-huge", "h".repeat(Number(arg))]]),
  "crlf-in-header": (plan) => withHeaders(plan, [["x-evil", "a\rset-cookie: injected=1"]]),
  "nul-in-header": (plan) => withHeaders(plan, [["x-evil", "a\0b"]]),
  gzip: (plan) => ({ ...withHeaders(plan, [["content-encoding", "gzip"]]), pieces: [gzipSync(bodyOf(plan))] }),
};

const HOP_BY_HOP: HeaderList = [
  ["connection", "keep-alive, x-private"],
  ["x-private", "1"],
  ["keep-alive", "timeout=99"],
  ["proxy-authenticate", "Basic"],
  ["upgrade", "h2c"],
  ["x-public", "1"],
];

const OPENAI_HEADERS: HeaderList = [
  ["openai-organization", "org-1"],
  ["openai-processing-ms", "12"],
  ["openai-version", "2020-10-01"],
  ["x-ratelimit-remaining-tokens", "149"],
  ["x-request-id", "req_of_the_provider"],
];

function withHeaders(plan: Plan, headers: HeaderList): Plan {
  return { ...plan, headers: [...plan.headers, ...headers] };
}

function failSome(plan: Plan, arg: string): Plan {
  const [key = "", times = "1"] = arg.split(":");
  const failed = failures.get(key) ?? 0;
  if (failed >= Number(times)) return plan;
  failures.set(key, failed + 1);
  return errorPlan(500, "mock failure", [["retry-after-ms", "1"]]);
}

/** Of `rate-limit=KEY:LIMIT`: so many requests of a key, for good, and what OpenAI says of it. */
function limitSome(plan: Plan, arg: string): Plan {
  const [key = "", limit = "1"] = arg.split(":");
  const asked = (limited.get(key) ?? 0) + 1;
  limited.set(key, asked);
  const answer = asked > Number(limit) ? errorPlan(429, "mock limit") : plan;
  return withHeaders(answer, [
    ["x-ratelimit-limit-requests", limit],
    ["x-ratelimit-remaining-requests", String(Math.max(0, Number(limit) - asked))],
    ["x-ratelimit-reset-requests", "1h0m0s"],
  ]);
}

function errorEvent(): Buffer {
  return Buffer.from(dataEvent({ error: { message: "overloaded", type: "server_error", param: null, code: "busy" } }));
}

function everyByte(plan: Plan): Buffer[] {
  return Array.from(bodyOf(plan), (byte) => Buffer.from([byte]));
}

function withCrlf(piece: Buffer): Buffer {
  return Buffer.from(piece.toString().replaceAll("\n", "\r\n"));
}

/** The same answer as a provider gives that knows no usage. */
function withoutUsage(plan: Plan): Plan {
  const text = (piece: Buffer): string => piece.toString().replace(/,"usage":(null|\{.*\})(?=\}\s*$)/, "");
  const pieces = Array.from(plan.pieces, text).filter((piece) => !piece.includes('"choices":[]'));
  return { ...plan, pieces: pieces.map((piece) => Buffer.from(piece)) };
}

/** A usage chunk although nobody asked. */
function withUsage(plan: Plan): Plan {
  const pieces = Array.from(plan.pieces);
  const usage = dataEvent({ id: "chatcmpl-1", object: "chat.completion.chunk", choices: [], usage: CHAT_USAGE });
  return { ...plan, pieces: [...pieces.slice(0, -1), Buffer.from(usage), ...pieces.slice(-1)] };
}
