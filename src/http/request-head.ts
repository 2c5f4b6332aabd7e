/**
 * The request head: read by the addon in one pass while `req` lives (native/request-head.cc), because a call into JavaScript for
 * each header costs more than all the rest. Ambiguous framing costs the connection (uWebSockets.js's parser accepts what RFC 9112
 * section 6 forbids); headers are sorted into what the gateway needs and what goes on to the provider. Gateway worker.
 */
import { ERRORS } from "../base/errors.ts";
import { withoutHeaders } from "../base/header-lines.ts";
import { nextRequestId } from "../base/ids.ts";
import { HEADER_BYTES_MAX, REQUEST_ID_BYTES_MAX, TARGET_BYTES_MAX } from "../base/limits.ts";
import { native } from "../native/native.ts";
import type { Exchange, Verdict } from "../pipeline/exchange.ts";
import { ENDPOINTS, METHODS } from "../telemetry/record.ts";

/** Fields of native/request-head.h. */
const FLAGS = 0;
const METHOD = 1;
const PATH = 2;
const CONTENT_LENGTH = 3;
const HEADER_BYTES = 4;
const TARGET_BYTES = 5;
const KEY = 6;

/** Its flags. */
const UNSOUND = 1;
const INVALID = 2;
const HAS_KEY = 4;
const HAS_REQUEST_ID = 8;
const JSON_TYPE = 16;
const OTHER_TYPE = 32;
const HAS_ENCODING = 64;
const HAS_QUERY = 128;
const CHUNKED = 256;
const CLOSES = 512;
const HAS_NAMED = 1_024;
const HAS_OWN = 2_048;

/** Its texts. */
const PATH_TEXT = 0;
const QUERY = 1;
const REQUEST_ID = 2;
const CONTENT_TYPE = 3;
const ACCEPT_ENCODING = 4;
const KEY_TEXT = 5;
const NAMED = 6;
const OWN_LINES = 7;

/** Paths that have no string of their own per request. */
const PATHS = ENDPOINTS.map((name) => `/v1/${name}`);
/** Without OTHER, which is number 0 and no method. */
const KNOWN_METHODS = METHODS.map((name, number) => (number === 0 ? "" : name));

const { headFields } = native;
native.headForm(KNOWN_METHODS, PATHS, REQUEST_ID_BYTES_MAX);

/** Whose keys the addon remembers. */
let keysOf: Exchange["snapshot"] | null = null;

/** Fills the head fields of `target`. Rows: framing that must cost the connection, 414, 431, 400. */
export function readHead(request: object, target: Exchange, read = native.readHead): Verdict {
  if (keysOf !== target.snapshot) {
    keysOf = target.snapshot;
    native.forgetKeys();
  }
  target.lines = read(request);
  const flags = field(FLAGS);
  target.methodNumber = Math.max(field(METHOD), 0);
  target.method = METHODS[target.methodNumber] ?? "";
  target.path = PATHS[field(PATH)] ?? native.headText(PATH_TEXT);
  takeFraming(target, flags);
  takeTexts(target, flags);
  takeKey(target, flags);
  return verdict(target, flags);
}

/** The key that came with the head that was read last is this record's: it need not be hashed again. */
export function rememberKey(number: number): void {
  native.rememberKey(number);
}

function field(index: number): number {
  return headFields[index] ?? 0;
}

function takeFraming(target: Exchange, flags: number): void {
  const chunked = (flags & CHUNKED) !== 0;
  target.contentLength = chunked ? -1 : field(CONTENT_LENGTH);
  target.bodyPending = target.contentLength !== 0;
  if ((flags & CLOSES) !== 0) closes(target);
  if (chunked) target.closing = true;
}

function closes(target: Exchange): void {
  target.closing = true;
  target.clientCloses = true;
}

function takeTexts(target: Exchange, flags: number): void {
  if ((flags & JSON_TYPE) !== 0) target.contentType = "application/json";
  if ((flags & OTHER_TYPE) !== 0) target.contentType = typeOf(native.headText(CONTENT_TYPE));
  if ((flags & HAS_ENCODING) !== 0) target.acceptEncoding = native.headText(ACCEPT_ENCODING);
  if ((flags & HAS_QUERY) !== 0) target.query = native.headText(QUERY);
  target.requestId = (flags & HAS_REQUEST_ID) !== 0 ? native.headText(REQUEST_ID) : nextRequestId();
  if ((flags & HAS_OWN) !== 0) target.ownLines = native.headText(OWN_LINES);
  if ((flags & HAS_NAMED) !== 0) dropNamed(target, native.headText(NAMED));
}

/** In lower case but for its parameters. */
function typeOf(value: string): string {
  return value.startsWith("application/json") ? value : value.replace(/^[^;]*/, (type) => type.toLowerCase());
}

/** The text only of a key that is not known yet. */
function takeKey(target: Exchange, flags: number): void {
  target.keyNumber = field(KEY);
  if ((flags & HAS_KEY) !== 0 && target.keyNumber < 0) target.keyText = native.headText(KEY_TEXT);
}

function verdict(target: Exchange, flags: number): Verdict {
  if ((flags & UNSOUND) !== 0 || target.methodNumber === 0) return ERRORS.badFraming;
  if (field(TARGET_BYTES) > TARGET_BYTES_MAX) return target.fail(ERRORS.targetTooLong, String(TARGET_BYTES_MAX));
  if (field(HEADER_BYTES) > HEADER_BYTES_MAX) return target.fail(ERRORS.headersTooLarge, String(HEADER_BYTES_MAX));
  return (flags & INVALID) !== 0 ? ERRORS.invalidHeader : null;
}

/** Optional white space (RFC 9110 5.6.3), which is less than trim() takes. */
const OUTER_SPACE = /^[ \t]+|[ \t]+$/g;

/** Headers that the client's Connection header declares to be hop by hop (RFC 9110 7.6.1). */
function dropNamed(target: Exchange, names: string): void {
  const dropped = new Set(names.split(",").map((name) => name.replace(OUTER_SPACE, "")));
  if (dropped.has("close")) closes(target);
  target.lines = withoutHeaders(target.lines, dropped);
}
