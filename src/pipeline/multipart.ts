/**
 * The model field of a multipart/form-data body (RFC 7578), which audio and image requests carry in place of JSON. Only
 * its place is looked for; the body is forwarded as it is. Pure; gateway worker.
 */

export type MultipartResult = "found" | "none" | "duplicate" | "invalid";

/** Place of the value that was found last, bytes. */
export const multipartModel = { start: -1, end: -1 };

/** Parts that are looked at; OpenAI's forms have a dozen. */
const PARTS_MAX = 256;
/** Longest part header block, bytes. */
const PART_HEAD_BYTES_MAX = 4_096;
const BOUNDARY = /;\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))/i;
const MODEL_FIELD = /^content-disposition:[^\r\n]*;[ \t]*name=(?:"model"|model)[ \t]*(?:;|\r\n|$)/im;
const HEAD_END = "\r\n\r\n";

/** Finds the part named "model" and sets `multipartModel`. */
export function findMultipartModel(body: Buffer, contentType: string): MultipartResult {
  const match = BOUNDARY.exec(contentType);
  const boundary = match?.[1] ?? match?.[2];
  if (boundary === undefined) return "invalid";
  const delimiter = Buffer.from(`--${boundary}`);
  if (!startsWith(body, delimiter)) return "invalid";
  return searchParts(body, Buffer.from(`\r\n--${boundary}`), delimiter.length);
}

function searchParts(body: Buffer, delimiter: Buffer, from: number): MultipartResult {
  let at = from;
  let result: MultipartResult = "none";
  for (let parts = 0; parts < PARTS_MAX; parts += 1) {
    if (isEnd(body, at)) return result;
    const headEnd = body.indexOf(HEAD_END, at, "latin1");
    const partEnd = headEnd < 0 ? -1 : body.indexOf(delimiter, headEnd + 2);
    if (partEnd < 0 || headEnd - at > PART_HEAD_BYTES_MAX) return "invalid";
    if (MODEL_FIELD.test(body.toString("latin1", at, headEnd))) {
      if (result === "found") return "duplicate";
      result = "found";
      multipartModel.start = Math.min(headEnd + HEAD_END.length, partEnd);
      multipartModel.end = partEnd;
    }
    at = partEnd + delimiter.length;
  }
  return "invalid";
}

/** The closing delimiter has two more hyphens. */
function isEnd(body: Buffer, at: number): boolean {
  return body[at] === 0x2d && body[at + 1] === 0x2d;
}

function startsWith(body: Buffer, prefix: Buffer): boolean {
  return body.length >= prefix.length && body.compare(prefix, 0, prefix.length, 0, prefix.length) === 0;
}
