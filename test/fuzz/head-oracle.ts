/** The request head as it reads in patterns and plain loops: what native/request-head.cc must agree with. */
import { ERRORS, type ErrorRow } from "../../src/base/errors.ts";
import { HEADER_BYTES_MAX, REQUEST_ID_BYTES_MAX, TARGET_BYTES_MAX } from "../../src/base/limits.ts";
import { METHODS } from "../../src/telemetry/record.ts";

export type Header = readonly [name: string, value: string];

export interface Head {
  readonly method: string;
  /** With its query, behind a question mark. */
  readonly target: string;
  readonly headers: readonly Header[];
}

/** What the gateway takes from a head that it accepts. */
export interface Taken {
  path: string;
  query: string;
  contentLength: number;
  closing: boolean;
  clientCloses: boolean;
  keyText: string;
  /** Null: one is made. */
  requestId: string | null;
  contentType: string;
  acceptEncoding: string;
  /** As latin1. */
  forwarded: string[];
  /** For the gateway alone; as they came. */
  own: string[];
}

const DROPPED = new Set([
  ...["cookie", "expect", "forwarded", "http2-settings", "keep-alive", "proxy-authorization", "proxy-connection", "te"],
  ...["trailer", "upgrade", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto"],
  "x-real-ip",
]);
const OWN = new Set([
  ...["host", "content-length", "transfer-encoding", "connection", "authorization", "api-key", "x-api-key"],
  ...["x-request-id", "accept-encoding"],
]);
export const NAMES: readonly string[] = [...DROPPED, ...OWN, "content-type", "x-sluice-", "x-sluice-target"];

/** Names that say that a header is for nobody else. */
const FOR_GATEWAY = /^x-sluice-./;

const PRINTABLE = /^[\x21-\x7e]+$/;
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const HOST = /^(?:[A-Za-z0-9._~%!$&'()*+,;=-]+|\[[0-9A-Fa-f:.]+\])(?::\d{0,5})?$/;
const BEARER = /^bearer /i;

function hasControl(value: string): boolean {
  return [...value].some((char) => (char < " " && char !== "\t") || char === "\x7f");
}

function valuesOf({ headers }: Head, name: string): string[] {
  return headers.filter(([own]) => own === name).map(([, value]) => value);
}

/** The row that refuses it; null: it is accepted. */
export function verdictOf(head: Head): ErrorRow | null {
  if (!isSound(head)) return ERRORS.badFraming;
  if (Buffer.byteLength(head.target) > TARGET_BYTES_MAX) return ERRORS.targetTooLong;
  const bytes = head.headers.map(([name, value]) => Buffer.byteLength(name + value) + 4);
  if (bytes.reduce((sum, one) => sum + one, 0) > HEADER_BYTES_MAX) return ERRORS.headersTooLarge;
  return isValid(head) ? null : ERRORS.invalidHeader;
}

function isSound(head: Head): boolean {
  const [path = "", ...query] = head.target.split("?");
  const lengths = valuesOf(head, "content-length");
  const encodings = valuesOf(head, "transfer-encoding");
  const hosts = valuesOf(head, "host");
  return (
    METHODS.slice(1).some((method) => method === head.method) &&
    PRINTABLE.test(path) &&
    (query.join("?") === "" || PRINTABLE.test(query.join("?"))) &&
    hosts.length === 1 &&
    HOST.test(hosts[0] ?? "") &&
    lengths.length + encodings.length <= 1 &&
    lengths.every((length) => /^\d{1,15}$/.test(length)) &&
    encodings.every((encoding) => /^chunked$/i.test(encoding)) &&
    head.headers.every(([name]) => name !== "")
  );
}

function isValid(head: Head): boolean {
  const values = head.headers.filter(([name]) => !DROPPED.has(name) && !OWN.has(name));
  const types = valuesOf(head, "content-type");
  return (
    values.every(([name, value]) => TOKEN.test(name) && !hasControl(value) && !value.includes("\ufffd")) &&
    valuesOf(head, "accept-encoding").every((value) => /^[\t\x20-\x7e]*$/.test(value)) &&
    types.slice(0, -1).every((type) => type === "")
  );
}

/** Of a head that is accepted. */
export function takenOf(head: Head): Taken {
  const [path = "", ...query] = head.target.split("?");
  const [length] = valuesOf(head, "content-length");
  const chunked = valuesOf(head, "transfer-encoding").length > 0;
  const named = namedBy(head);
  const clientCloses = named.has("close") || valuesOf(head, "connection").some((value) => /^close$/i.test(value));
  const type = valuesOf(head, "content-type").at(-1) ?? "";
  const ids = valuesOf(head, "x-request-id").filter((id) => id.length <= REQUEST_ID_BYTES_MAX && PRINTABLE.test(id));
  const kept = head.headers.filter(([name]) => !DROPPED.has(name) && !OWN.has(name));
  const forwarded = kept.filter(([name]) => !FOR_GATEWAY.test(name) && !named.has(name));
  return {
    path,
    query: query.join("?"),
    contentLength: chunked ? -1 : Number(length ?? 0),
    closing: clientCloses || chunked,
    clientCloses,
    keyText: keyOf(head),
    requestId: ids.at(-1) ?? null,
    contentType: type.startsWith("application/json") ? type : type.replace(/^[^;]*/, (own) => own.toLowerCase()),
    acceptEncoding: valuesOf(head, "accept-encoding").at(-1) ?? "",
    own: kept.filter(([name]) => FOR_GATEWAY.test(name)).flat(),
    forwarded: forwarded.flatMap(([name, value]) => [name, Buffer.from(value).toString("latin1")]),
  };
}

/** Headers that Connection names, unless it says nothing but what is usual. */
function namedBy(head: Head): Set<string> {
  const values = valuesOf(head, "connection").map((value) => Buffer.from(value).toString("latin1"));
  const lower = values.map((value) => value.replace(/[A-Z]/g, (letter) => letter.toLowerCase()));
  const names = lower
    .filter((value) => value !== "keep-alive" && value !== "close")
    .flatMap((value) => value.split(","));
  return new Set(names.map((name) => name.replace(/^[ \t]+|[ \t]+$/g, "")));
}

function keyOf({ headers }: Head): string {
  let key = "";
  for (const [name, value] of headers) {
    if (name === "authorization" && BEARER.test(value))
      key = value.slice("bearer ".length).replace(/^[ \t]+|[ \t]+$/g, "");
    if ((name === "api-key" || name === "x-api-key") && key === "") key = value;
  }
  return key;
}
