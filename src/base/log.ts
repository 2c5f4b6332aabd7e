/**
 * The log: one JSON line per event on standard error, with its priority before it when that is the journal, or short readable
 * lines when it is a terminal. The supervisor's main thread is its only writer: gateway workers tell the supervisor what
 * happened, so a stalled reader of standard error never stops traffic. Written synchronously, because little is said and the
 * last line before an exit counts most.
 * What must stay true: no prompt, no header and no credential is handed to it; as a second net, whatever looks like a
 * credential is masked in the finished line.
 */
import process from "node:process";
import { type DestinationStream, destination, type Level, type Logger, pino, stdTimeFunctions } from "pino";
import { gradedEntry, isJournal } from "./journal.ts";

export type Log = Logger;

/** The logger of this process, which its lines call `name`. */
export function openLog(name: string, level: Level): Log {
  const stream = process.stderr.isTTY ? terminal() : destination({ fd: process.stderr.fd, sync: true });
  return logTo(stream, name, level, isJournal(process.stderr.fd, process.env));
}

/** The same logger on a stream of the caller's. */
export function logTo(stream: DestinationStream, name: string, level: Level, journal = false): Log {
  const options = {
    level,
    base: { process: name, pid: process.pid },
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    hooks: { streamWrite: journal ? (line: string) => gradedEntry(mask(line)) : mask },
  };
  return pino(options, stream);
}

function terminal(): DestinationStream {
  return { write: (line) => process.stderr.write(readable(line)) };
}

const MASK = "[redacted]";
/** Fields whose value is a credential whatever it looks like. */
const SECRET_FIELD =
  /"((?:proxy-)?authorization|(?:x-)?api[-_]?key|cookie|set-cookie|password|secret|credential)":"(?:[^"\\]|\\.)*"/gi;
/** A scheme of an Authorization header and what follows it. */
const SCHEME = /\b(Bearer|Basic)\s+[\w.~+/=-]{4,}/gi;
/** Names and passwords in a URL. */
const USER_INFO = /:\/\/[^\s/@"\\]+@/g;
/** Keys that providers mark with a prefix, ours among them, and JSON Web Tokens. */
const MARKED =
  /\b(?:(?:sk|pk|rk|gsk|xai|hf|r8|key|pplx|ghp|gho|glpat|github_pat|nvapi|fw|csk)[-_][\w-]{12,}|AIza[\w-]{20,}|(?:AKIA|ASIA)[A-Z0-9]{12,}|ya29\.[\w.-]{8,}|eyJ[\w-]{8,}\.[\w.-]{8,})/g;

/** The line with everything that looks like a credential masked; JSON stays JSON. */
export function mask(line: string): string {
  return line
    .replace(SECRET_FIELD, `"$1":"${MASK}"`)
    .replace(SCHEME, `$1 ${MASK}`)
    .replace(USER_INFO, `://${MASK}@`)
    .replace(MARKED, MASK);
}

interface Entry {
  readonly time?: string;
  readonly level?: string;
  readonly process?: string;
  readonly pid?: number;
  readonly msg?: string;
  readonly err?: { readonly message?: string; readonly stack?: string };
  readonly [field: string]: unknown;
}

/** One JSON line as people read it: time of day, level, process, message, fields; an error's stack below. */
export function readable(line: string): string {
  const { time, level, process: name, pid: _, msg, err, ...fields } = JSON.parse(line) as Entry;
  const rest = Object.entries(fields).map(([key, value]) => ` ${key}=${plain(value)}`);
  const head = `${(time ?? "").slice(11, 23)} ${(level ?? "").padEnd(5)} ${name}: ${msg ?? err?.message ?? ""}`;
  return `${head}${rest.join("")}\n${err?.stack === undefined ? "" : `${err.stack}\n`}`;
}

function plain(value: unknown): string {
  return typeof value === "string" && /^[^\s"]+$/.test(value) ? value : JSON.stringify(value);
}
