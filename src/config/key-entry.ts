/**
 * Adding a key to the `keys` list of a configuration text. Command line. The entry is inserted and nothing else is
 * touched, so comments, order and spelling of the file survive; printing the document anew would lose some of them.
 */
import { isMap, isScalar, isSeq, type Pair, type YAMLSeq } from "yaml";
import { parseSource, type Source } from "./document.ts";

export interface KeyEntry {
  readonly name: string;
  /** SHA-256 of the key, lower-case hex. */
  readonly hash: string;
  readonly expires: string | null;
  readonly models: readonly string[] | null;
}

/** The entry as one line of YAML that fits into block and flow lists. */
export function keyEntryYaml({ name, hash, expires, models }: KeyEntry): string {
  const fields = [`name: ${yamlText(name)}`, `hash: "sha256:${hash}"`];
  if (expires !== null) fields.push(`expires: ${yamlText(expires)}`);
  if (models !== null) fields.push(`models: [${models.map(yamlText).join(", ")}]`);
  return `{ ${fields.join(", ")} }`;
}

/** `text` with the entry as the last of `keys`; null if the list is written in a way that has to be edited by hand. */
export function insertKeyEntry(text: string, entry: KeyEntry): string | null {
  const { source, problems } = parseSource(text);
  const root = source.document.contents;
  if (problems.length > 0 || !isMap(root) || root.flow) return null;
  const pair = root.items.find(({ key }) => isScalar(key) && key.value === "keys");
  const line = keyEntryYaml(entry);
  if (pair === undefined) return `${text}${text.endsWith("\n") ? "" : "\n"}\nkeys:\n  - ${line}\n`;
  if (isSeq(pair.value)) return insertIntoList(source, text, pair.value, line);
  return isScalar(pair.value) && pair.value.value === "" ? insertAfterKey(text, pair, line) : null;
}

/** JSON strings are YAML; plain where that is clearly the same. */
function yamlText(text: string): string {
  return /^[A-Za-z][\w.-]*$/.test(text) ? text : JSON.stringify(text);
}

function insertIntoList(source: Source, text: string, list: YAMLSeq, line: string): string | null {
  if (!list.range) return null;
  const [start, end] = list.range;
  if (list.flow) {
    const close = end - 1;
    const rest = text.slice(start + 1, close);
    // After a trailing comma, or in an empty list, none is needed. A comment would swallow what is put behind it.
    if (rest.includes("#")) return null;
    const comma = list.items.length === 0 || rest.trimEnd().endsWith(",") ? "" : ", ";
    return `${text.slice(0, start + 1)}${rest.trimEnd()}${comma}${line}${text.slice(close)}`;
  }
  const indent = " ".repeat(source.lines.linePos(start).col - 1);
  return insertLine(text, start + text.slice(start, end).trimEnd().length, `${indent}- ${line}`);
}

/** `keys:` with nothing behind it: all entries are commented out. */
function insertAfterKey(text: string, pair: Pair, line: string): string | null {
  const range = isScalar(pair.key) ? pair.key.range : undefined;
  return range ? insertLine(text, range[1], `  - ${line}`) : null;
}

/** A line after the one that contains `offset`. */
function insertLine(text: string, offset: number, line: string): string {
  const end = text.indexOf("\n", offset);
  return end === -1 ? `${text}\n${line}\n` : `${text.slice(0, end + 1)}${line}\n${text.slice(end + 1)}`;
}
