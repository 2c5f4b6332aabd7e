/** What a process has in memory: of large mapped files only the pages that it uses, and little that was freed. */
import { ok } from "node:assert/strict";
import { readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { loadConfigApart } from "../../src/config/load-apart.ts";
import { native } from "../../src/native/native.ts";
import { prepareArms } from "../../src/shm/arms.ts";
import { createCounters, openCounters } from "../../src/shm/counters.ts";
import { COUNTER } from "../../src/shm/layout.ts";
import { prepareLimits } from "../../src/shm/limits.ts";
import { directoryOf } from "../support/limits.ts";
import { ROOT } from "../support/program.ts";

/** The kernel maps up to 64 KB around a page that is touched. */
const AROUND_KB_MAX = 256;

function residentKb(path: string): number {
  let kb = 0;
  let counts = false;
  for (const line of readFileSync("/proc/self/smaps", "latin1").split("\n")) {
    const mapping = /^[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+\s*(.*)$/.exec(line);
    if (mapping !== null) counts = mapping[1] === path;
    else if (counts) kb += Number(/^Rss: +(\d+)/.exec(line)?.[1] ?? 0);
  }
  return kb;
}

test("a new map of limits takes no memory of who made it", (context) => {
  const directory = realpathSync(directoryOf(context));
  const map = prepareLimits(directory);
  ok(map.subject("key", "one") >= 0);
  const kb = residentKb(join(directory, "limits.map"));
  ok(kb > 0 && kb <= AROUND_KB_MAX, `${kb} KB`);
});

test("arms that no configuration has are not looked for", (context) => {
  const directory = realpathSync(directoryOf(context));
  prepareArms(directory).number([]);
  const path = join(directory, "arms.map");
  // What was made under another name keeps that until it is opened again.
  prepareArms(directory).number([]);
  const kb = residentKb(path);
  ok(kb > 0 && kb <= AROUND_KB_MAX, `${kb} KB`);
});

test("counters of workers that there never were are not looked at", (context) => {
  const directory = realpathSync(directoryOf(context));
  const reader = createCounters(directory);
  openCounters(directory, 1).add(COUNTER.recordsDropped, 1);
  ok(reader.sum()[COUNTER.recordsDropped] === 1);
  const kb = residentKb(join(directory, "counters.map"));
  // The worker's mapping and the reader's.
  ok(kb > 0 && kb <= 2 * AROUND_KB_MAX, `${kb} KB`);
});

test("what the thread had that read the configuration goes back to the system", async () => {
  await loadConfigApart(join(ROOT, "examples", "budgets.yaml"), { OPENAI_API_KEY: "sk" });
  const before = process.memoryUsage().rss;
  native.trimMemory();
  const returned = before - process.memoryUsage().rss;
  // 13 to 20 MB.
  ok(returned > 4_194_304, `${returned} bytes`);
});
