/** Embeddings and moderations of the demo provider: the same numbers for the same text. Pure. Supervisor process. */
import { createHash } from "node:crypto";
import { countOf, type Json, listOf } from "./json.ts";
import { DemoRefusal, type Reply } from "./reply.ts";
import { idOf, tokensOf } from "./text.ts";

const DIMENSIONS_DEFAULT = 256;
const DIMENSIONS_MAX = 4_096;
const INPUTS_MAX = 2_048;

export function embeddings(request: Json, model: string): Reply {
  const inputs = inputsOf(request["input"]);
  const dimensions = Math.min(countOf(request["dimensions"]) ?? DIMENSIONS_DEFAULT, DIMENSIONS_MAX);
  const packed = request["encoding_format"] === "base64";
  const data = inputs.map((input, index) => {
    const vector = vectorOf(input, dimensions);
    return { object: "embedding", index, embedding: packed ? base64Of(vector) : [...vector] };
  });
  const tokens = inputs.reduce((sum, input) => sum + tokensOf(input), 0);
  return {
    kind: "json",
    body: { object: "list", data, model, usage: { prompt_tokens: tokens, total_tokens: tokens } },
  };
}

/** A text, a list of texts, one list of token numbers, or a list of such lists. */
function inputsOf(input: unknown): string[] {
  const list = listOf(input);
  const many = list.length > 0 && typeof list[0] !== "number";
  const inputs = many ? list : [input];
  if (inputs.length > INPUTS_MAX) throw new DemoRefusal(400, `'input' may have ${INPUTS_MAX} entries.`, "input");
  return inputs.map((each) => {
    const text = Array.isArray(each) ? each.join(" ") : each;
    if (typeof text !== "string" || text === "") throw new DemoRefusal(400, "'input' must be text.", "input");
    return text;
  });
}

/** A unit vector out of the text's hash, stretched to any length. */
export function vectorOf(text: string, dimensions: number): Float32Array {
  const bytes = createHash("shake256", { outputLength: dimensions * 2 })
    .update(text)
    .digest();
  const raw = Float32Array.from({ length: dimensions }, (_, i) => bytes.readInt16LE(i * 2) + 0.5);
  const norm = Math.hypot(...raw);
  return raw.map((value) => value / norm);
}

/** Little-endian 32-bit floats, as the SDK unpacks them. */
function base64Of(vector: Float32Array): string {
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString("base64");
}

const CATEGORIES = ["harassment", "hate", "illicit", "self-harm", "sexual", "violence"];

/** Nothing is ever flagged. */
export function moderations(request: Json, model: string, body: Buffer): Reply {
  const inputs = Array.isArray(request["input"]) ? request["input"] : [request["input"]];
  const result = {
    flagged: false,
    categories: Object.fromEntries(CATEGORIES.map((name) => [name, false])),
    category_scores: Object.fromEntries(CATEGORIES.map((name) => [name, 0])),
  };
  return { kind: "json", body: { id: idOf("modr-", body), model, results: inputs.map(() => result) } };
}
