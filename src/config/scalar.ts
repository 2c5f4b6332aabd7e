/**
 * How the text of one configuration value becomes a value: durations, sizes, prices, addresses, names. The YAML reader
 * hands over every scalar as text, so that nothing is guessed and no binary float is involved. Pure; supervisor and
 * command line. No refusal may repeat the text it refuses: it could be a secret that was pasted into the wrong place.
 */
import { isIP, isIPv6 } from "node:net";
import { z } from "zod";
import type { TcpPlace, TrustedPeer } from "./listener.ts";

/** Why a text was not taken, in words that say what is expected instead. */
export class Refusal {
  readonly message: string;

  constructor(message: string) {
    this.message = message;
  }
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

export type Read<T> = (text: string) => T | Refusal;

export function readBoolean(text: string): boolean | Refusal {
  if (text === "true" || text === "false") return text === "true";
  return new Refusal("expected true or false");
}

export function readInteger(min: number, max: number): Read<number> {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    return value >= min && value <= max ? value : new Refusal(`expected a whole number from ${min} to ${max}`);
  };
}

/** Units of one kind of quantity: [name, size], largest first. */
type Units = readonly (readonly [name: string, size: number])[];

const DURATION_UNITS: Units = [
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1_000],
  ["ms", 1],
];

const SIZE_UNITS: Units = [
  ["GiB", 1_073_741_824],
  ["GB", 1_000_000_000],
  ["MiB", 1_048_576],
  ["MB", 1_000_000],
  ["KiB", 1_024],
  ["KB", 1_000],
  ["B", 1],
];

/** "90s" for 90,000: in the largest unit that divides it. */
function quantityText(value: number, units: Units): string {
  const unit = units.find(([, size]) => value % size === 0 && value >= size);
  return unit === undefined ? String(value) : `${value / unit[1]}${unit[0]}`;
}

export function durationText(ms: number): string {
  return quantityText(ms, DURATION_UNITS);
}

export function sizeText(bytes: number): string {
  return quantityText(bytes, SIZE_UNITS);
}

function readQuantity(text: string, units: Units): number {
  const parts = /^(\d{1,15})([A-Za-z]+)$/.exec(text);
  const unit = units.find(([name]) => name === parts?.[2]);
  return parts === null || unit === undefined ? Number.NaN : Number(parts[1]) * unit[1];
}

/** Milliseconds from "500ms", "10s", "5m" or "1h". A bare number is refused, because people disagree about its unit. */
export function readDuration(minMs: number, maxMs: number): Read<number> {
  return (text) => {
    const value = readQuantity(text, DURATION_UNITS);
    if (Number.isNaN(value)) return new Refusal("expected a duration with its unit, such as 500ms, 10s, 5m or 1h");
    if (value >= minMs && value <= maxMs) return value;
    const range = `${durationText(minMs)} to ${durationText(maxMs)}`;
    return new Refusal(`the duration must be from ${range}`);
  };
}

/** Bytes from "512KiB", "32MiB", "1GB" or a bare number of bytes. */
export function readSize(minBytes: number, maxBytes: number): Read<number> {
  return (text) => {
    const value = readQuantity(/^\d+$/.test(text) ? `${text}B` : text, SIZE_UNITS);
    if (Number.isNaN(value)) return new Refusal("expected a size, such as 512KiB, 32MiB, 1GB or a number of bytes");
    if (value >= minBytes && value <= maxBytes) return value;
    return new Refusal(`the size must be from ${sizeText(minBytes)} to ${sizeText(maxBytes)}`);
  };
}

export interface Rate {
  readonly amount: number;
  readonly periodMs: number;
}

const PERIODS_MS: Readonly<Record<string, number>> = {
  s: 1_000,
  sec: 1_000,
  second: 1_000,
  m: 60_000,
  min: 60_000,
  minute: 60_000,
  h: 3_600_000,
  hour: 3_600_000,
  d: 86_400_000,
  day: 86_400_000,
};

/** "100/min", "50_000/hour": a count for each period. */
export function readRate(amountMax: number): Read<Rate> {
  return (text) => {
    const parts = /^(\d[\d_]{0,19})\/([a-z]+)$/.exec(text);
    const periodMs = Object.hasOwn(PERIODS_MS, parts?.[2] ?? "") ? PERIODS_MS[parts?.[2] ?? ""] : undefined;
    if (parts === null || periodMs === undefined)
      return new Refusal("expected a number for each second, minute, hour or day, such as 100/min or 50_000/day");
    const amount = Number(parts[1]?.replaceAll("_", ""));
    if (amount >= 1 && amount <= amountMax) return { amount, periodMs };
    return new Refusal(`the number must be from 1 to ${amountMax}`);
  };
}

/** USD per million tokens with at most 6 decimals, as pico-dollars per token: exact, digits only. */
export function readPrice(text: string): number | Refusal {
  const parts = /^(\d+)(?:\.(\d+))?$/.exec(text);
  if (parts === null) return new Refusal("expected USD per million tokens as a decimal, such as 0.15");
  const decimals = parts[2] ?? "";
  if (decimals.length > 6) return new Refusal("a price has at most 6 decimals");
  const pico = BigInt(`${parts[1]}${decimals.padEnd(6, "0")}`);
  if (pico > 10_000_000_000n) return new Refusal("a price is at most 10000 USD per million tokens");
  return Number(pico);
}

/** A whole number, which may be written as 10_000_000. */
export function readAmount(min: number, max: number): Read<number> {
  return (text) => {
    const value = /^\d[\d_]{0,19}$/.test(text) ? Number(text.replaceAll("_", "")) : Number.NaN;
    return value >= min && value <= max ? value : new Refusal(`expected a whole number from ${min} to ${max}`);
  };
}

/** Sums of nano-dollars stay below 2^53. */
const DOLLARS_MAX = 9_000_000;

/** USD with at most 6 decimals, as nano-dollars: exact, digits only. */
export function readDollars(text: string): number | Refusal {
  const parts = /^(\d[\d_]{0,19})(?:\.(\d{1,6}))?$/.exec(text);
  const nano = BigInt(`${parts?.[1]?.replaceAll("_", "") ?? 0}${(parts?.[2] ?? "").padEnd(9, "0")}`);
  if (nano >= 1n && nano <= BigInt(DOLLARS_MAX) * 1_000_000_000n) return Number(nano);
  return new Refusal(`expected USD, such as 50 or 12.50, at most ${DOLLARS_MAX} and with at most 6 decimals`);
}

const INSTANT = z.union([z.iso.datetime({ offset: true }), z.iso.date()]);

/** Wall-clock milliseconds from an ISO 8601 instant with its zone, or from a date, which begins at midnight UTC. */
export function readInstant(text: string): number | Refusal {
  if (INSTANT.safeParse(text).success) return Date.parse(text);
  return new Refusal("expected a date or an instant with its zone, such as 2027-01-01 or 2027-01-01T00:00:00Z");
}

const HOST_NAME = /^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/;

/** "127.0.0.1:8081", "localhost:8081" or "[::1]:8081". */
export function readAddress(text: string): Address | Refusal {
  const parts = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  const [host, port] = [parts?.[1] ?? parts?.[2] ?? "", Number(parts?.[3])];
  const hostValid = parts?.[1] === undefined ? HOST_NAME.test(host) : isIPv6(host);
  if (!hostValid)
    return new Refusal("expected host:port, such as 127.0.0.1:8081, 0.0.0.0:8081 or '[::]:8081' (with its quotes)");
  if (!(port >= 1 && port <= 65_535)) return new Refusal("the port must be from 1 to 65535");
  return { host, port };
}

/** The socket's address in the kernel has 108 bytes, and it is made under a longer name. */
const SOCKET_PATH_BYTES_MAX = 100;

/** host:port, or "unix:" and a path, which may be relative. */
export function readPlace(text: string): TcpPlace | { readonly kind: "unix"; readonly path: string } | Refusal {
  if (!text.startsWith("unix:")) {
    const address = readAddress(text);
    return address instanceof Refusal ? address : { kind: "tcp", ...address };
  }
  const path = text.slice("unix:".length);
  if (!/^\.{0,2}\/[^\0]*[^\0/]$/.test(path))
    return new Refusal("expected a path behind unix:, beginning with /, ./ or ../");
  if (Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX) return { kind: "unix", path };
  return new Refusal(`the path of a socket has at most ${SOCKET_PATH_BYTES_MAX} bytes`);
}

const LABEL = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?";
const SERVER_NAME = new RegExp(`^(?:\\*\\.)?${LABEL}(?:\\.${LABEL})*$`);

/** A name that a client asks for in its handshake, in lower case; the first label may be "*". */
export function readServerName(text: string): string | Refusal {
  const name = text.toLowerCase();
  if (SERVER_NAME.test(name) && name.length <= 253 && isIP(name) === 0) return name;
  return new Refusal(
    "expected a host name, such as ai.example.com or *.example.com (letters of other scripts as xn--...)",
  );
}

/** The name of one host, in lower case. */
export function readHostName(text: string): string | Refusal {
  const name = text.startsWith("*") ? new Refusal("") : readServerName(text);
  return name instanceof Refusal ? new Refusal("expected a host name, such as ai.example.com") : name;
}

/** Permissions as chmod takes them, such as 0660. */
export function readMode(text: string): number | Refusal {
  if (/^0?[0-7]{3}$/.test(text)) return Number.parseInt(text, 8);
  return new Refusal("expected permissions as chmod takes them, such as 0660");
}

/** 192.0.2.1, 10.0.0.0/8, fd00::/8 or unix. */
export function readTrustedPeer(text: string): TrustedPeer | Refusal {
  if (text === "unix") return "unix";
  const [, address = "", digits] = /^([0-9A-Fa-f.:]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const bits = isIP(address) === 6 ? 128 : 32;
  const prefix = digits === undefined ? bits : Number(digits);
  if (isIP(address) !== 0 && prefix <= bits) return { address, prefix };
  return new Refusal("expected an address or network, such as 192.0.2.1, 10.0.0.0/8 or fd00::/8, or unix");
}

const PRINTABLE = /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]+$/u;

/** A name of a key, provider or model: printable, no space at its ends, and never cut where it is recorded. */
export function readName(bytesMax: number): Read<string> {
  return (text) => {
    if (!PRINTABLE.test(text) || text.trim() !== text || !text.isWellFormed()) {
      return new Refusal("a name must be printable, not empty, and without spaces at its ends");
    }
    // They would change the path that {model} stands in.
    if (text === "." || text === "..") return new Refusal("this name is reserved");
    if (Buffer.byteLength(text) > bytesMax) return new Refusal(`a name has at most ${bytesMax} bytes`);
    return text;
  };
}

/** The 64 hexadecimal digits of "sha256:...", lower-case. */
export function readHash(text: string): string | Refusal {
  const digits = /^sha256:([0-9a-fA-F]{64})$/.exec(text)?.[1];
  if (digits !== undefined) return digits.toLowerCase();
  return new Refusal(
    "expected 'sha256:' and 64 hexadecimal digits, never the key itself; 'sluice key create' makes both",
  );
}

/** What a URL that was copied from a request ends with. */
const ENDPOINT_PATH = /(\/chat\/completions|\/completions|\/embeddings|\/responses)\/*$/;

/** An http or https URL; "{model}" may stand in its path or query. */
export function readBaseUrl(text: string): string | Refusal {
  const url = URL.parse(text.replaceAll("{model}", "model"));
  if (url === null || !/^https?:\/\//i.test(text) || /[^\x21-\x7e]/.test(text)) {
    return new Refusal("expected an http or https URL, such as https://api.openai.com/v1");
  }
  if (url.username !== "" || url.password !== "") {
    return new Refusal("a URL with a user or password is not taken; use 'credential'");
  }
  const endpoint = ENDPOINT_PATH.exec(url.pathname)?.[1];
  if (endpoint !== undefined) return new Refusal(`the path of each request is added to this; leave out '${endpoint}'`);
  if (text.includes("#")) return new Refusal("a base URL has no fragment (#)");
  const path = text.indexOf("/", text.indexOf("//") + 2);
  const model = text.indexOf("{model}");
  if (model !== -1 && (path === -1 || model < path)) return new Refusal("{model} can only stand in the path");
  return text;
}

/** Where an HTTP proxy is: scheme, host and port, and a user before the host, encoded as in the text. */
export function readProxyUrl(text: string): string | Refusal {
  const url = URL.parse(text);
  if (url === null || !/^https?:\/\//i.test(text) || /[^\x21-\x7e]/.test(text)) {
    return new Refusal("expected the URL of an HTTP proxy, such as http://proxy.example:3128");
  }
  if (url.password !== "") return new Refusal("the password of a proxy does not stand here; use 'proxy_password'");
  if (url.pathname !== "/" || url.search !== "" || url.hash !== "")
    return new Refusal("the URL of a proxy has no path");
  if (url.username === "") return url.origin;
  if (isUser(url.username)) return `${url.protocol}//${url.username}@${url.host}`;
  return new Refusal("the user of a proxy is UTF-8 without a colon or control characters");
}

/** RFC 7617: a colon is where the password begins. */
function isUser(encoded: string): boolean {
  try {
    return !/[:\p{Cc}]/u.test(decodeURIComponent(encoded));
  } catch {
    return false;
  }
}

/** The name of an environment variable. Capitals only, so that a pasted credential is not taken for a name. */
export function readVariable(text: string): string | Refusal {
  if (/^[A-Z_][A-Z0-9_]{0,127}$/.test(text)) return text;
  return new Refusal("expected the name of an environment variable (capitals, digits and _), not its value");
}

/** A path that says by its first characters that it is one, for the same reason. */
export function readCredentialPath(text: string): string | Refusal {
  if (/^\.{0,2}\/[^\0]+$/.test(text)) return text;
  return new Refusal("expected the path of a file, beginning with /, ./ or ../");
}

/** A file name in $CREDENTIALS_DIRECTORY, as `LoadCredential=NAME:...` gives it. */
export function readCredentialName(text: string): string | Refusal {
  if (/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}$/.test(text)) return text;
  return new Refusal("expected the name of a systemd credential (letters, digits, _ . and -)");
}

export function readPath(text: string): string | Refusal {
  return text === "" || text.includes("\0") ? new Refusal("expected a path") : text;
}

/** RFC 9110 token. */
export function readHeaderName(text: string): string | Refusal {
  if (/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$/.test(text)) return text;
  return new Refusal("this is not a valid header name");
}

/** RFC 9110 field value without obs-text, which servers read differently. */
export function readHeaderValue(text: string): string | Refusal {
  if (/^[\x21-\x7e]([\x20-\x7e]{0,8190}[\x21-\x7e])?$/.test(text)) return text;
  return new Refusal("a header value is 1 to 8192 printable ASCII characters, without spaces at its ends");
}
