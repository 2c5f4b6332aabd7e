/** What a supervisor finds in shared memory when it starts: permits of workers that were killed together with the one before it. */
import { strictEqual } from "node:assert/strict";
import { closeSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { native } from "../../src/native/native.ts";
import { LIMIT_ADMITTED, LIMIT_REFUSED, prepareLimits } from "../../src/shm/limits.ts";
import { ringsDirectory } from "../../src/shm/ring-file.ts";
import { openMemory } from "../../src/supervisor/memory.ts";
import { admit, directoryOf, LimitsChild, ruleOf } from "../support/limits.ts";
import { configOf } from "../support/request-path.ts";

const LEASE_MS = 60_000;
/** Two slots. */
const [DEAD, ALIVE] = [3, 4];

test("permits of slots that nobody holds any more are free, those of workers that run are not", async (context) => {
  const dataDir = directoryOf(context);
  const held = ruleOf({ quantity: "concurrency", kind: "held", limit: 2, burst: 2, periodMs: 0 });
  prepareLimits(dataDir);
  mkdirSync(ringsDirectory(dataDir));
  const lockOf = (slot: number) => native.lockFile(join(ringsDirectory(dataDir), `ring-00${slot}.lock`));
  strictEqual(lockOf(ALIVE) >= 0, true);
  const locked = lockOf(DEAD);
  for (const slot of [DEAD, ALIVE]) await (await LimitsChild.start(context, dataDir, slot, [held], "admit")).kill();
  const limits = () => {
    const map = openMemory(configOf({}, dataDir), 0, null).limits;
    map.configure([held], LEASE_MS);
    return map;
  };
  const before = limits();
  strictEqual(admit(before, before.subject("key", "one")), LIMIT_REFUSED);
  closeSync(locked);
  const after = limits();
  const key = after.subject("key", "one");
  strictEqual(admit(after, key), LIMIT_ADMITTED);
  strictEqual(admit(after, key), LIMIT_REFUSED);
});
