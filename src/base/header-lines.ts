/**
 * Headers as they are written: CRLF name: value for each of them, one string for all. Leaf; any thread. These functions are for
 * what is rare: the request path puts lines together and never takes them apart.
 */

const CRLF = "\r\n";
const COLON = ": ";

/** Flat list name, value. */
export function headerList(lines: string): string[] {
  const list: string[] = [];
  for (let at = CRLF.length; at <= lines.length; ) {
    const colon = lines.indexOf(COLON, at);
    const next = lines.indexOf(CRLF, colon);
    const end = next < 0 ? lines.length : next;
    list.push(lines.slice(at, colon), lines.slice(colon + COLON.length, end));
    at = end + CRLF.length;
  }
  return list;
}

/** `list`: flat, name, value. */
export function headerLines(list: readonly string[]): string {
  return list.map((text, i) => (i % 2 === 0 ? CRLF : COLON) + text).join("");
}

/** Lines whose name, in lower case as these are, is not among `names`. */
export function withoutHeaders(lines: string, names: ReadonlySet<string>): string {
  const kept = lines.split(CRLF).filter((line) => line === "" || !names.has(line.slice(0, line.indexOf(COLON))));
  return kept.join(CRLF);
}
