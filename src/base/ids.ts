/** Ids that are unique over processes and restarts without a clock or a call per id. Leaf; any thread. */
import { randomBytes } from "node:crypto";

const prefix = `req_${randomBytes(12).toString("hex")}`;
let count = 0;

/** A request id: 96 random bits per process and a counter. At most 40 ASCII bytes. */
export function nextRequestId(): string {
  count += 1;
  return prefix + count.toString(36);
}
