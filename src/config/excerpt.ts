/**
 * Which lines of a configuration file may be shown. Supervisor and command line. It works by what is known to be
 * harmless, not by what looks secret: a line is shown only if all of it is keys, values of fields in PUBLIC_FIELDS,
 * and punctuation, and nothing in it looks like a secret all the same. What did not parse is not shown.
 */
import { isMap, isScalar, isSeq, type Scalar } from "yaml";
import { parseSource } from "./document.ts";
import { isSecretField, mayBeSecret } from "./secret.ts";

const PUBLIC_FIELDS: ReadonlySet<string> = new Set([
  ...["listen", "workers", "data_dir", "level", "path", "replay_stale", "passthrough", "keys_file"],
  ...["body_bytes", "body_bytes_in_flight", "json_depth", "connections_per_provider", "queue_per_provider"],
  ...["connect", "first_byte", "idle", "total", "queue", "stall", "drain", "upstream_keep_alive"],
  ...["type", "auth", "ca_file", "usage_option", "provider", "model", "input", "cached_input", "output"],
  ...["name", "enabled", "expires", "models"],
  ...["address", "mode", "group", "cert_file", "key_file", "client_ca_file", "trusted"],
]);

/** Mappings whose keys are names that the operator chose. */
const NAMED_SECTIONS: ReadonlySet<string> = new Set(["providers", "models", "prices"]);

const OTHER_SECTIONS: ReadonlySet<string> = new Set([
  "admin",
  "log",
  "access_log",
  "limits",
  "timeouts",
  "keys",
  "tls",
  "proxy_protocol",
]);

const LINE_LENGTH_MAX = 160;

/** What may stand between keys and values. */
const PUNCTUATION = /^[\s[\]{},:?"'|>-]*$/;

type Span = readonly [start: number, end: number];

/** For each position its line, or null where it must not be shown. */
export function excerpts(text: string, positions: readonly { line: number }[]): readonly (string | null)[] {
  const { source } = parseSource(text);
  const spans: Span[] = [];
  collect(source.document.contents, "", spans);
  const starts = source.lines.lineStarts;
  return positions.map(({ line }) => {
    const start = starts[line - 1];
    return start === undefined ? null : excerpt(text, start, starts[line] ?? text.length + 1, spans);
  });
}

function excerpt(text: string, start: number, next: number, spans: readonly Span[]): string | null {
  const line = text.slice(start, next).replace(/\r?\n$/, "");
  if (line.trim() === "" || line.length > LINE_LENGTH_MAX || mayBeSecret(line) || /[^\t\x20-\x7e]/.test(line))
    return null;
  const rest = [...line];
  for (const [from, to] of spans) {
    for (let at = Math.max(from, start); at < Math.min(to, start + line.length); at += 1) rest[at - start] = " ";
  }
  const bare = rest.join("").replace(/(^|\s)#.*$/, "");
  // Comments are the operator's own and are left out: people keep old credentials in them.
  return PUNCTUATION.test(bare) ? line.slice(0, bare.length).trimEnd() : null;
}

/** Adds the spans of everything below `node` that may be shown. `field`: the key that leads to it; empty for a name. */
function collect(node: unknown, field: string, spans: Span[]): void {
  if (isScalar(node) && PUBLIC_FIELDS.has(field)) addSpan(node, spans);
  if (isSeq(node)) for (const item of node.items) collect(item, field, spans);
  if (!isMap(node)) return;
  for (const { key, value } of node.items) {
    if (!isScalar(key)) continue;
    const name = String(key.value);
    if (isKnown(name) || (NAMED_SECTIONS.has(field) && isMap(value))) addSpan(key, spans);
    if (!isSecretField(name)) collect(value, NAMED_SECTIONS.has(field) ? "" : name, spans);
  }
}

function isKnown(key: string): boolean {
  return PUBLIC_FIELDS.has(key) || NAMED_SECTIONS.has(key) || OTHER_SECTIONS.has(key) || isSecretField(key);
}

function addSpan(node: Scalar, spans: Span[]): void {
  if (node.range) spans.push([node.range[0], node.range[1]]);
}
