/**
 * The model field of a multipart/form-data body (RFC 7578), which audio and image requests carry in place of JSON. Only
 * its place is looked for; the body is forwarded as it is. A form that two parsers could read differently is refused: a
 * key's list of models would be worth nothing if the provider found another model than we did. Pure; gateway worker.
 */

import { FORM_BOUNDARY_CHARS_MAX, FORM_PART_HEAD_BYTES_MAX, FORM_PARTS_MAX } from "../base/limits.ts";

export type MultipartResult = "found" | "none" | "duplicate" | "invalid";

/** Place of the value that was found last, bytes. */
export const multipartModel = { start: -1, end: -1 };

const CRLF = "\r\n";
const HEAD_END = "\r\n\r\n";
const HEADER = /^([\w!#$%&'*+.^`|~-]+):[ \t]*([^\r\n]*)$/;
const PARAMETER = /[ \t]*;[ \t]*([\w!#$%&'*+.^`|~-]+)=(?:"((?:[^"\\\r\n]|\\[^\r\n])*)"|([^\s"\\;,<>]+))/y;
const AFTER_PARAMETERS = /^[ \t]*;?[ \t]*$/;

/** Finds the part named "model" and sets `multipartModel`. */
export function findMultipartModel(body: Buffer, contentType: string): MultipartResult {
  const boundary = parameterOf(contentType, "multipart/form-data", "boundary");
  if (boundary === null || boundary === "" || boundary.length > FORM_BOUNDARY_CHARS_MAX) return "invalid";
  const opening = Buffer.from(`--${boundary}`);
  if (!startsWith(body, opening)) return "invalid";
  return searchParts(body, Buffer.from(`${CRLF}--${boundary}`), opening.length);
}

function searchParts(body: Buffer, delimiter: Buffer, from: number): MultipartResult {
  let at = from;
  let result: MultipartResult = "none";
  for (let parts = 0; parts < FORM_PARTS_MAX; parts += 1) {
    if (isEnd(body, at)) return result;
    const headEnd = body.indexOf(HEAD_END, at, "latin1");
    const partEnd = body.indexOf(delimiter, at);
    if (!isPart(body, at, headEnd, partEnd)) return "invalid";
    const model = namesModel(body.toString("latin1", at + CRLF.length, headEnd));
    if (model === null) return "invalid";
    if (model && result === "found") return "duplicate";
    if (model) {
      result = "found";
      multipartModel.start = Math.min(headEnd + HEAD_END.length, partEnd);
      multipartModel.end = partEnd;
    }
    at = partEnd + delimiter.length;
  }
  return "invalid";
}

/** The delimiter's line ends at `at`, and a header block and the next delimiter follow. */
function isPart(body: Buffer, at: number, headEnd: number, partEnd: number): boolean {
  const whole = headEnd >= at && partEnd >= headEnd + CRLF.length;
  return whole && isLineEnd(body, at) && headEnd - at <= FORM_PART_HEAD_BYTES_MAX;
}

/** The closing delimiter has two more hyphens, and nothing else on its line. */
function isEnd(body: Buffer, at: number): boolean {
  if (body[at] !== 0x2d || body[at + 1] !== 0x2d) return false;
  return body.length === at + 2 || isLineEnd(body, at + 2);
}

function isLineEnd(body: Buffer, at: number): boolean {
  return body[at] === 0x0d && body[at + 1] === 0x0a;
}

/** Whether the header block of a part names it "model"; null: parsers could disagree. */
function namesModel(head: string): boolean | null {
  let name: string | null = null;
  for (const line of head.split(CRLF)) {
    const [, field, value] = HEADER.exec(line) ?? [];
    if (field === undefined || value === undefined) return null;
    if (field.toLowerCase() !== "content-disposition") continue;
    if (name !== null) return null;
    name = parameterOf(value, "form-data", "name");
    if (name === null) return null;
  }
  return name === null ? null : name === "model";
}

/**
 * The parameter `name` of a header whose value begins with `type`; empty: it has none. Null for what parsers read in
 * different ways: it stands there twice, in parts or encoded (RFC 8187), with escapes, or among what is not a parameter.
 */
function parameterOf(value: string, type: string, name: string): string | null {
  if (value.slice(0, type.length).toLowerCase() !== type) return null;
  let found: string | null = null;
  let end = type.length;
  PARAMETER.lastIndex = end;
  for (let match = PARAMETER.exec(value); match !== null; match = PARAMETER.exec(value)) {
    end = PARAMETER.lastIndex;
    const key = match[1]?.toLowerCase() ?? "";
    if (key.startsWith(`${name}*`) || (key === name && found !== null)) return null;
    if (key === name) found = match[2] ?? match[3] ?? "";
  }
  if (!AFTER_PARAMETERS.test(value.slice(end)) || found?.includes("\\") === true) return null;
  return found ?? "";
}

function startsWith(body: Buffer, prefix: Buffer): boolean {
  return body.length >= prefix.length && body.compare(prefix, 0, prefix.length, 0, prefix.length) === 0;
}
