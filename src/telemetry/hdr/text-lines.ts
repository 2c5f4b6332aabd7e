/** The lines of a text file, one at a time and bounded in length, however large the file. Command line and benchmarks. */
import { closeSync, openSync, readSync } from "node:fs";
import { CodedError } from "../../base/errors.ts";
import { HDR_LINE_BYTES_MAX } from "../../base/limits.ts";

const READ_BYTES = 262_144;
const NEWLINE = 10;

export interface TextLine {
  readonly text: string;
  /** From 1. */
  readonly number: number;
  /** Whether a newline ended it. */
  readonly whole: boolean;
}

/** Throws CodedErrors: hdr_unreadable, hdr_line_too_long. */
export function* linesOf(path: string): Generator<TextLine> {
  let rest = Buffer.alloc(0);
  let number = 0;
  for (const chunk of chunksOf(path)) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      const bytes = Buffer.concat([rest, chunk.subarray(start, end)]);
      rest = Buffer.alloc(0);
      start = end + 1;
      yield { text: textOf(bytes), number: ++number, whole: true };
    }
    rest = Buffer.concat([rest, chunk.subarray(start)]);
    if (rest.length > HDR_LINE_BYTES_MAX)
      throw new CodedError("hdr_line_too_long", `${path}:${number + 1}: the line is too long for a histogram log.`);
  }
  if (rest.length > 0) yield { text: textOf(rest), number: ++number, whole: false };
}

function textOf(bytes: Buffer): string {
  return bytes.toString("utf8").replace(/\r$/, "");
}

function* chunksOf(path: string): Generator<Buffer> {
  const file = opened(path);
  try {
    for (;;) {
      const chunk = Buffer.alloc(READ_BYTES);
      const count = reading(path, () => readSync(file, chunk));
      if (count === 0) return;
      yield chunk.subarray(0, count);
    }
  } finally {
    closeSync(file);
  }
}

function opened(path: string): number {
  return reading(path, () => openSync(path, "r"));
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "does not exist",
  ENOTDIR: "does not exist",
  EACCES: "may not be read by this user",
  EISDIR: "is a directory",
};

function reading(path: string, read: () => number): number {
  try {
    return read();
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown error";
    throw new CodedError("hdr_unreadable", `${path} ${REASONS[code] ?? `could not be read (${code})`}.`, cause);
  }
}
