/**
 * A process that decides on a map of limits like a worker: `limits-child.ts DATA_DIR SLOT RULES DO`, RULES as JSON. What it does: a number
 * of admissions, then it prints how many were admitted; "keep" and a number, the same without an end of any; "admit" for one that it keeps; "lock", and keeps the lock. It says "ready" before it waits for
 * a line of standard input, and goes on then.
 */
import { once } from "node:events";
import process from "node:process";
import type { LimitRule } from "../../src/base/limit-terms.ts";
import { native } from "../../src/native/native.ts";
import { attachLimits, LIMIT_ADMITTED, LIMIT_AT, LIMIT_BUSY, type LimitsMap } from "../../src/shm/limits.ts";
import { decide, HELD_TIME_MS } from "./limits.ts";

const LEASE_MS = 60_000;

/** On a machine with too much to do, the holder of the lock may have to wait for a CPU. */
function decidePatiently(map: LimitsMap): number {
  for (;;) {
    const decision = decide(map);
    if (decision !== LIMIT_BUSY) return decision;
  }
}

/** `settles`: each is over before the next one, and used nothing. */
function admissions(map: LimitsMap, count: number, settles: boolean): number {
  native.limitsHoldTime(HELD_TIME_MS);
  let admitted = 0;
  for (let i = 0; i < count; i += 1) {
    if (decidePatiently(map) === LIMIT_ADMITTED) admitted += 1;
    const ticket = map.fields[LIMIT_AT.ticket] ?? -1;
    if (settles && ticket >= 0) map.settle(ticket, 0, 0, 0);
  }
  return admitted;
}

const [dataDir = "", slot = "", rules = "[]", what = ""] = process.argv.slice(2);
const map = attachLimits(dataDir, Number(slot));
map.configure(JSON.parse(rules) as LimitRule[], LEASE_MS);
map.fields.fill(-1);
map.fields[LIMIT_AT.parts.key] = map.subject("key", "one");
map.fields[LIMIT_AT.amounts.requests] = 1;
map.fields[LIMIT_AT.amounts.concurrency] = 1;
map.fields[LIMIT_AT.amounts.tokens] = 1;
if (what === "admit") process.stdout.write(`${decide(map)}\n`);
if (what === "lock") native.limitsHoldLock();
process.stdout.write("ready\n");
await once(process.stdin, "data");
if (what.startsWith("keep ")) process.stdout.write(`${admissions(map, Number(what.slice(5)), false)}\n`);
else if (what !== "admit" && what !== "lock") process.stdout.write(`${admissions(map, Number(what), true)}\n`);
process.stdin.destroy();
