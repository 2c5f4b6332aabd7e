/**
 * Small text files the configuration consists of or refers to: read whole, bounded, UTF-8. Supervisor and command line,
 * never on a request. Messages name what is wrong and never hold any of the content.
 */
import { closeSync, openSync, readSync } from "node:fs";
import { CodedError } from "../base/errors.ts";

/** The text of `path`. Throws a CodedError with a message that continues "the file ...". */
export function readTextFile(path: string, bytesMax: number): string {
  const bytes = readBounded(path, bytesMax + 1);
  if (bytes.length > bytesMax) throw new CodedError("file_too_large", `is larger than ${bytesMax} bytes`);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new CodedError("file_not_utf8", "is not UTF-8 text", cause);
  }
}

/** Up to `bytes` bytes from the beginning; also from a pipe, whose size nobody knows. */
function readBounded(path: string, bytes: number): Buffer {
  try {
    const file = openSync(path, "r");
    try {
      return readUpTo(file, bytes);
    } finally {
      closeSync(file);
    }
  } catch (cause) {
    throw new CodedError("file_unreadable", unreadable(cause), cause);
  }
}

function readUpTo(file: number, bytes: number): Buffer {
  const chunks: Buffer[] = [];
  let left = bytes;
  while (left > 0) {
    const chunk = Buffer.alloc(Math.min(left, 65_536));
    const count = readSync(file, chunk);
    if (count === 0) break;
    chunks.push(chunk.subarray(0, count));
    left -= count;
  }
  return Buffer.concat(chunks);
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "does not exist",
  ENOTDIR: "does not exist",
  EACCES: "may not be read by this user",
  EISDIR: "is a directory",
};

function unreadable(cause: unknown): string {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown error";
  return REASONS[code] ?? `could not be read (${code})`;
}
