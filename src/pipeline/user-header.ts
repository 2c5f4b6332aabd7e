/** The user whom a header of the request names (`user_header`), before its body is read. Gateway worker; pure. */
import { USER_BYTES_MAX } from "../base/limits.ts";
import type { Exchange } from "./exchange.ts";

/** Of `user` in a body, the quotes count too. */
const VALUE_BYTES_MAX = USER_BYTES_MAX - 2;

/** Sets `user` where there is one. Only where the configuration names a header. */
export function takeUser(exchange: Exchange): void {
  const { ownLines, lines, snapshot } = exchange;
  const value = valueIn(ownLines, snapshot.userHeader) || valueIn(lines, snapshot.userHeader);
  // Heads are latin1, bodies UTF-8; one name is one user.
  exchange.user = Buffer.from(value, "latin1").toString("utf8");
}

/** `begin`: CRLF name: and a space. */
function valueIn(lines: string, begin: string): string {
  const at = lines.indexOf(begin);
  if (at < 0) return "";
  const from = at + begin.length;
  const end = lines.indexOf("\r\n", from);
  return lines.slice(from, Math.min(end < 0 ? lines.length : end, from + VALUE_BYTES_MAX));
}
