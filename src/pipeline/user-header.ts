/** The user whom a header of the request names (`user_header`), before its body is read. Gateway worker; pure. */
import { USER_BYTES_MAX } from "../base/limits.ts";
import type { Exchange } from "./exchange.ts";

/** Of `user` in a body, the quotes count too. */
const VALUE_BYTES_MAX = USER_BYTES_MAX - 2;

/** Sets `user` where there is one. Only where the configuration names a header. */
export function takeUser(exchange: Exchange): void {
  const { ownLines, lines, snapshot } = exchange;
  const own = valueIn(ownLines, snapshot.userHeader);
  // What goes on is latin1, all else UTF-8, as bodies are; one name is one user.
  const bytes = own === "" ? Buffer.from(valueIn(lines, snapshot.userHeader), "latin1") : Buffer.from(own);
  exchange.user = bytes.toString("utf8", 0, VALUE_BYTES_MAX);
}

/** `begin`: CRLF name: and a space. */
function valueIn(lines: string, begin: string): string {
  const at = lines.indexOf(begin);
  if (at < 0) return "";
  const from = at + begin.length;
  const end = lines.indexOf("\r\n", from);
  return lines.slice(from, Math.min(end < 0 ? lines.length : end, from + VALUE_BYTES_MAX));
}
