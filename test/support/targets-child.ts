/** A process that learns about one target like a worker in a hurry, until it is killed: `targets-child.ts DATA_DIR`. It says "ready" first. */
import { nowMs, wallMs } from "../../src/base/clock.ts";
import { report, spend } from "../../src/pipeline/headroom.ts";
import { ask, observe } from "../../src/pipeline/latency.ts";
import { tickOf } from "../../src/pipeline/machine-ticks.ts";
import { noteWait } from "../../src/pipeline/waits.ts";
import { openTargets, TARGET_AT } from "../../src/shm/targets.ts";

const [dataDir = ""] = process.argv.slice(2);
const slot = openTargets(dataDir).slotOf("main", "m");
process.stdout.write("ready\n");
for (let i = 0; ; i = (i + 1) | 0) {
  const now = tickOf(wallMs(nowMs()));
  ask(slot, TARGET_AT.whole, now);
  observe(slot, TARGET_AT.whole, 1 + (i & 1_023), now);
  const said = { limit: 1_000, remaining: i & 511, resetMs: 60_000 };
  report(slot, TARGET_AT.requests, said, spend(slot, TARGET_AT.requests, 1), now);
  noteWait(slot, TARGET_AT.waits, 100);
}
