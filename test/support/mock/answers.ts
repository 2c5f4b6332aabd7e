/** The well-behaved provider: one answer per OpenAI path. Pure. */
import { createHash } from "node:crypto";
import { bigBytes } from "./big-body.ts";
import { type Asked, chatPlan, completionPlan, responsePlan } from "./chat-answers.ts";
import type { Entry } from "./journal.ts";
import { bytesPlan, errorPlan, jsonPlan, type Plan } from "./plan.ts";
import { headerOf } from "./request-reader.ts";

export const EMBEDDING_USAGE = { prompt_tokens: 8, total_tokens: 8 } as const;
export const EMBEDDING = [0.25, -0.5, 1] as const;
/** Size of the spoken answer, MiB. */
export const SPEECH_MIB = 1;

type Answer = (entry: Entry) => Plan;

const ANSWERS: Readonly<Record<string, Answer>> = {
  "POST /v1/chat/completions": (entry) => chatPlan(askedOf(entry)),
  "POST /v1/completions": (entry) => completionPlan(askedOf(entry)),
  "POST /v1/responses": (entry) => responsePlan(askedOf(entry)),
  "POST /v1/embeddings": embeddings,
  "POST /v1/moderations": moderation,
  "POST /v1/files": fileUpload,
  "GET /v1/files": () => jsonPlan(200, { object: "list", data: [], has_more: false }),
  "POST /v1/audio/transcriptions": transcription,
  "POST /v1/audio/speech": () => bytesPlan("audio/mpeg", Buffer.concat(Array.from(bigBytes(SPEECH_MIB)))),
  "POST /v1/images/generations": () => jsonPlan(200, { created: 1, data: [{ b64_json: "aW1hZ2U=" }] }),
  "DELETE /v1/files/file-1": () => jsonPlan(200, { id: "file-1", object: "file", deleted: true }),
};

export function answerTo(entry: Entry): Plan {
  const path = entry.head.target.split("?", 1)[0] ?? "";
  const answer = ANSWERS[`${entry.head.method} ${path}`];
  return answer?.(entry) ?? echo(entry);
}

/** Any other path: what arrived, so that tests can compare. HEAD has no body but its length. */
function echo(entry: Entry): Plan {
  const { method, target } = entry.head;
  if (method === "TRACE") return errorPlan(405, "no");
  return jsonPlan(200, { method, target, bytes: entry.bodyBytes, sha256: entry.sha256() });
}

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(entry: Entry): Fields {
  const value: unknown = JSON.parse(entry.body().toString());
  return typeof value === "object" && value !== null ? { ...value } : {};
}

function askedOf(entry: Entry): Asked {
  const { model, stream, stream_options: options, tools } = fieldsOf(entry);
  return {
    model: typeof model === "string" ? model : "",
    stream: stream === true,
    includeUsage: JSON.stringify(options ?? null).includes('"include_usage":true'),
    tools: tools !== undefined,
  };
}

function embeddings(entry: Entry): Plan {
  const { model = "", encoding_format: format } = fieldsOf(entry);
  const base64 = Buffer.from(Float32Array.from(EMBEDDING).buffer).toString("base64");
  const embedding = format === "base64" ? base64 : EMBEDDING;
  return jsonPlan(200, {
    object: "list",
    data: [{ object: "embedding", index: 0, embedding }],
    model,
    usage: EMBEDDING_USAGE,
  });
}

function moderation(entry: Entry): Plan {
  const { model = "default" } = fieldsOf(entry);
  return jsonPlan(200, { id: "modr-1", model, results: [{ flagged: true, categories: {}, category_scores: {} }] });
}

function fileUpload(entry: Entry): Plan {
  const object = {
    id: "file-1",
    object: "file",
    bytes: entry.bodyBytes,
    created_at: 1,
    filename: "f",
    purpose: "batch",
  };
  return jsonPlan(200, { ...object, sha256: entry.sha256(), content_type: headerOf(entry.head, "content-type") });
}

/** Digest of what was uploaded as `file`, so that the client can compare it with its own. */
function transcription(entry: Entry): Plan {
  const body = entry.body();
  const start = body.indexOf("\r\n\r\n", body.indexOf('name="file"')) + 4;
  const boundary = /boundary="?([^";]+)/.exec(headerOf(entry.head, "content-type") ?? "")?.[1] ?? "";
  const file = body.subarray(start, body.indexOf(`\r\n--${boundary}`, start));
  return jsonPlan(200, { text: createHash("sha256").update(file).digest("hex") });
}
