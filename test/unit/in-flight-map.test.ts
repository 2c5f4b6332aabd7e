/** What is in flight at targets: the sum over all workers, and nothing of one that is dead, whenever it died. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";
import { TARGET_SLOTS_MAX } from "../../src/base/limits.ts";
import { type InFlightMap, openInFlight, prepareInFlight } from "../../src/shm/in-flight.ts";
import { openRing } from "../../src/shm/ring.ts";
import { enterTimes } from "../support/in-flight.ts";
import { directoryOf } from "../support/limits.ts";
import { until } from "../support/until.ts";

const CHILD = new URL("../support/in-flight-child.ts", import.meta.url).pathname;
const TURNS = 300_000;
const KILLS = 4;
const MODELS = ["a", "b", "c"];

interface Child {
  readonly process: ChildProcessWithoutNullStreams;
  readonly column: number;
  readonly lines: AsyncIterator<string>;
}

async function begin(context: TestContext, dataDir: string, ...more: string[]): Promise<Child> {
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", CHILD, dataDir, ...more]);
  context.after(() => child.kill("SIGKILL"));
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  return { process: child, column: Number((await lines.next()).value), lines };
}

async function kill({ process: child }: Child): Promise<void> {
  child.kill("SIGKILL");
  await once(child, "close");
}

function countsIn(map: InFlightMap): number[] {
  return MODELS.map((model) => map.at("main", model, 0).count);
}

test("each handle sees what all of them have in flight, by target, also those that come later", (context) => {
  const dataDir = directoryOf(context);
  prepareInFlight(dataDir, false);
  const maps = [0, 1, 2].map((column) => {
    const map = openInFlight(dataDir);
    map.take(column);
    enterTimes(map.at("main", "a", column), column + 1);
    return map;
  });
  deepStrictEqual(maps.map(countsIn), Array(3).fill([6, 0, 0]));
  maps[2]?.at("main", "b", 2).enter();
  maps[1]?.at("main", "a", 1).leave();
  deepStrictEqual(countsIn(openInFlight(dataDir)), [5, 1, 0]);
});

test("both generations of a restart count together, and a start begins with nothing", (context) => {
  const dataDir = directoryOf(context);
  prepareInFlight(dataDir, false);
  const old = openInFlight(dataDir);
  old.take(0);
  enterTimes(old.at("main", "a", 0), 2);
  prepareInFlight(dataDir, true);
  const later = openInFlight(dataDir);
  later.take(1);
  later.at("main", "a", 1).enter();
  deepStrictEqual(
    [countsIn(old), countsIn(later)],
    [
      [3, 0, 0],
      [3, 0, 0],
    ],
  );
  prepareInFlight(dataDir, false);
  deepStrictEqual(countsIn(openInFlight(dataDir)), [0, 0, 0]);
});

test("where there is no room for a target, a worker counts its own", (context) => {
  const map = prepareInFlight(directoryOf(context), false);
  map.take(3);
  for (let i = 0; i < TARGET_SLOTS_MAX; i += 1) map.at("main", `m${i}`, 3);
  const [one, other] = [map.at("main", "one more", 3), map.at("main", "one more", 3)];
  enterTimes(one, 2);
  deepStrictEqual([one.count, other.count], [2, 0]);
});

test(`what processes count at a time is exact, over ${TURNS} turns each`, async (context) => {
  const dataDir = directoryOf(context);
  const map = prepareInFlight(dataDir, false);
  const children = await Promise.all([0, 1, 2].map(() => begin(context, dataDir, String(TURNS))));
  deepStrictEqual(children.map(({ column }) => column).sort(), [0, 1, 2]);
  const told = await Promise.all(
    children.map(async ({ lines }) => JSON.parse((await lines.next()).value ?? "[]") as number[]),
  );
  const sums = MODELS.map((_, i) => told.reduce((sum, own) => sum + (own[i] ?? 0), 0));
  deepStrictEqual(countsIn(map), sums);
});

test(`of ${KILLS} workers that are killed among others nothing is left, whether the supervisor or the next worker comes first`, async (context) => {
  const dataDir = directoryOf(context);
  const map = prepareInFlight(dataDir, false);
  const [steady, first] = [await begin(context, dataDir, "1000"), await begin(context, dataDir)];
  const own = JSON.parse((await steady.lines.next()).value ?? "[]") as number[];
  let victim = first;
  for (let turn = 0; turn < KILLS; turn += 1) {
    await until("it has something in flight", () => countsIn(map).join() !== own.join());
    await kill(victim);
    const next = turn % 2 === 0 ? null : await begin(context, dataDir, "0");
    map.release(victim.column);
    deepStrictEqual(countsIn(map), own);
    if (next !== null) await kill(next);
    victim = await begin(context, dataDir);
    strictEqual(victim.column, 1);
  }
});

test("the column of a worker that lives is not emptied, whoever says that another one died", (context) => {
  const dataDir = directoryOf(context);
  const map = prepareInFlight(dataDir, false);
  const { slot } = openRing(dataDir);
  map.take(slot);
  enterTimes(map.at("main", "a", slot), 4);
  map.release(slot);
  deepStrictEqual(countsIn(map), [4, 0, 0]);
});
