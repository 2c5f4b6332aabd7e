/**
 * The request head: read in one pass while `req` lives, checked for ambiguous framing (uWebSockets.js's parser accepts
 * what RFC 9112 section 6 forbids), and sorted into what the gateway needs and what goes on to the provider. Gateway
 * worker. The visitor has no closure: one request is read at a time.
 */
import { ERRORS } from "../base/errors.ts";
import { nextRequestId } from "../base/ids.ts";
import { HEADER_BYTES_MAX, REQUEST_ID_BYTES_MAX, TARGET_BYTES_MAX } from "../base/limits.ts";
import type { Exchange, Verdict } from "../pipeline/exchange.ts";
import { METHODS } from "../telemetry/record.ts";
import type { UwsRequest } from "./uws.ts";

const KEEP = 0;
const DROP = 1;
const HOST = 2;
const CONTENT_LENGTH = 3;
const TRANSFER_ENCODING = 4;
const CONNECTION = 5;
const AUTHORIZATION = 6;
const KEY = 7;
const REQUEST_ID = 8;
const CONTENT_TYPE = 9;
const ACCEPT_ENCODING = 10;

/** Everything that is not forwarded as it is: framing, hop by hop, credentials, and addresses of the client's network. */
const ACTIONS = new Map<string, number>([
  ["host", HOST],
  ["content-length", CONTENT_LENGTH],
  ["transfer-encoding", TRANSFER_ENCODING],
  ["connection", CONNECTION],
  ["authorization", AUTHORIZATION],
  ["api-key", KEY],
  ["x-api-key", KEY],
  ["x-request-id", REQUEST_ID],
  ["content-type", CONTENT_TYPE],
  ["accept-encoding", ACCEPT_ENCODING],
  ["keep-alive", DROP],
  ["proxy-authorization", DROP],
  ["proxy-connection", DROP],
  ["te", DROP],
  ["trailer", DROP],
  ["upgrade", DROP],
  ["expect", DROP],
  ["http2-settings", DROP],
  ["cookie", DROP],
  ["forwarded", DROP],
  ["x-forwarded-for", DROP],
  ["x-forwarded-host", DROP],
  ["x-forwarded-port", DROP],
  ["x-forwarded-proto", DROP],
  ["x-real-ip", DROP],
]);

const METHOD_NUMBERS = new Map<string, number>(METHODS.map((method, number) => [method, number]));
METHOD_NUMBERS.delete("OTHER");

/** Bytes of ": " and CRLF. */
const HEADER_OVERHEAD_BYTES = 4;
const PRINTABLE = /^[\x21-\x7e]+$/;
const PLAIN_VALUE = /^[\t\x20-\x7e]*$/;
const LENGTH = /^\d{1,15}$/;
/** reg-name, IPv4 or [IPv6], with an optional port (RFC 9110 7.2). */
const HOST_VALUE = /^(?:[A-Za-z0-9._~%!$&'()*+,;=-]+|\[[0-9A-Fa-f:.]+\])(?::\d{0,5})?$/;
const BEARER = "bearer ";

let exchange: Exchange;
let hosts = 0;
let lengths = 0;
let encodings = 0;
let headerBytes = 0;
let sound = true;
let validValues = true;
let connection = "";

/** Fills the head fields of `target`. Rows: framing that must cost the connection, 414, 431, 400. */
export function readHead(request: UwsRequest, target: Exchange): Verdict {
  begin(target);
  target.method = request.getCaseSensitiveMethod();
  target.methodNumber = METHOD_NUMBERS.get(target.method) ?? 0;
  target.path = request.getUrl();
  target.query = request.getQuery() ?? "";
  request.forEach(visit);
  target.bodyPending = target.contentLength !== 0;
  if (target.requestId === "") target.requestId = nextRequestId();
  return verdict(target);
}

function begin(target: Exchange): void {
  exchange = target;
  hosts = 0;
  lengths = 0;
  encodings = 0;
  headerBytes = 0;
  sound = true;
  validValues = true;
  connection = "";
}

function verdict(target: Exchange): Verdict {
  const framed = sound && hosts === 1 && lengths + encodings <= 1 && target.methodNumber !== 0;
  if (!framed || !PRINTABLE.test(target.path) || (target.query !== "" && !PRINTABLE.test(target.query))) {
    return ERRORS.badFraming;
  }
  if (target.path.length + target.query.length > TARGET_BYTES_MAX) {
    return target.fail(ERRORS.targetTooLong, String(TARGET_BYTES_MAX));
  }
  if (headerBytes > HEADER_BYTES_MAX) return target.fail(ERRORS.headersTooLarge, String(HEADER_BYTES_MAX));
  if (!validValues) return ERRORS.invalidHeader;
  if (connection !== "") dropNamed(target, connection);
  return null;
}

function visit(name: string, value: string): void {
  headerBytes += name.length + value.length + HEADER_OVERHEAD_BYTES;
  if (name === "") sound = false;
  const action = ACTIONS.get(name) ?? KEEP;
  if (action !== KEEP) take(action, name, value);
  else forward(name, value);
}

function take(action: number, name: string, value: string): void {
  switch (action) {
    case HOST:
      hosts += 1;
      if (!HOST_VALUE.test(value)) sound = false;
      break;
    case CONTENT_LENGTH:
      lengths += 1;
      if (LENGTH.test(value)) exchange.contentLength = Number(value);
      else sound = false;
      break;
    case TRANSFER_ENCODING:
      encodings += 1;
      exchange.contentLength = -1;
      exchange.closing = true;
      if (value.toLowerCase() !== "chunked") sound = false;
      break;
    case CONNECTION:
      takeConnection(value);
      break;
    default:
      takeOwn(action, name, value);
  }
}

function takeOwn(action: number, name: string, value: string): void {
  switch (action) {
    case AUTHORIZATION:
      if (value.slice(0, BEARER.length).toLowerCase() === BEARER) exchange.keyText = value.slice(BEARER.length).trim();
      break;
    case KEY:
      if (exchange.keyText === "") exchange.keyText = value;
      break;
    case REQUEST_ID:
      if (value.length <= REQUEST_ID_BYTES_MAX && PRINTABLE.test(value)) exchange.requestId = value;
      break;
    case CONTENT_TYPE:
      // Of two, the provider might read the body by the other one.
      if (exchange.contentType !== "") validValues = false;
      exchange.contentType = value.startsWith("application/json") ? value : value.replace(/^[^;]*/, lowerCase);
      forward(name, value);
      break;
    case ACCEPT_ENCODING:
      exchange.acceptEncoding = value;
      if (!PLAIN_VALUE.test(value)) validValues = false;
      break;
    default:
  }
}

function lowerCase(text: string): string {
  return text.toLowerCase();
}

/** uWebSockets.js decodes values as UTF-8; latin1 gives undici back the same bytes. */
function forward(name: string, value: string): void {
  if (PLAIN_VALUE.test(value)) {
    exchange.headers.push(name, value);
    return;
  }
  if (value.includes("\ufffd") || hasControl(value)) validValues = false;
  exchange.headers.push(name, Buffer.from(value, "utf8").toString("latin1"));
}

function hasControl(value: string): boolean {
  for (let i = 0; i < value.length; i += 1) {
    const code = value.charCodeAt(i);
    if ((code < 0x20 && code !== 0x09) || code === 0x7f) return true;
  }
  return false;
}

function closes(target: Exchange): void {
  target.closing = true;
  target.clientCloses = true;
}

function takeConnection(value: string): void {
  const lower = value.toLowerCase();
  if (lower === "close") closes(exchange);
  else if (lower !== "keep-alive" && lower !== "") connection += `,${lower}`;
}

/** Headers that the client's Connection header declares to be hop by hop (RFC 9110 7.6.1). */
function dropNamed(target: Exchange, names: string): void {
  const dropped = new Set(names.split(",").map((name) => name.trim()));
  if (dropped.has("close")) closes(target);
  const kept = target.headers.filter((_, i) => !dropped.has(target.headers[i - (i % 2)] ?? ""));
  target.headers.splice(0, target.headers.length, ...kept);
}
