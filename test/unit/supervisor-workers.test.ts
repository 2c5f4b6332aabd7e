/** The workers' places: replaced when they die, slower and slower when they die early; only the processes are fakes. */
import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { EventEmitter } from "node:events";
import { type TestContext, test } from "node:test";
import { logTo } from "../../src/base/log.ts";
import { PROGRAM } from "../../src/base/program.ts";
import type { Explanation } from "../../src/config/explanation.ts";
import type { FromWorker, ToWorker } from "../../src/config/messages.ts";
import type { Config } from "../../src/config/schema.ts";
import { delayAfter } from "../../src/supervisor/backoff.ts";
import { runtimeEnv } from "../../src/supervisor/worker-process.ts";
import { Workers } from "../../src/supervisor/workers.ts";

const CONFIG = { dataDir: "/data" } as Config;
const START_MS = 30_000;
const CONFIRM_MS = 10_000;
const GRACE_MS = 5_000;
const HUNG_MS = 10_000;
const OUTDATED_PAUSE_MS = 5_000;
let pids = 100;

class FakeChild extends EventEmitter {
  readonly pid = ++pids;
  readonly sent: ToWorker[] = [];
  connected = true;

  send(message: ToWorker): boolean {
    this.sent.push(message);
    return true;
  }

  kill(signal: string): boolean {
    this.end(null, signal);
    return true;
  }

  end(code: number | null, signal: string | null = null): void {
    if (!this.connected) return;
    this.connected = false;
    this.emit("exit", code, signal);
  }

  tell(message: FromWorker): void {
    this.emit("message", message);
  }
}

function crew(context: TestContext, count: number) {
  context.mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  const children: FakeChild[] = [];
  const lines: string[] = [];
  const disk = { current: true };
  const hanging = new Set<number>();
  const shedding = new Set<number>();
  let beat = 0;
  const replaced = new Map<string, number>();
  const [serving, freed]: [number[], number[]] = [[], []];
  const workers = new Workers({
    count,
    configured: { epoch: 1, config: CONFIG },
    patient: false,
    log: logTo({ write: (line) => void lines.push(line) }, "supervisor", "debug"),
    fork: () => {
      const child = new FakeChild();
      children.push(child);
      return child as unknown as ChildProcess;
    },
    onServing: (number) => void serving.push(number),
    onSlotFree: (slot) => void freed.push(slot),
    beatOf: (slot) => (hanging.has(slot) ? -1 : ++beat),
    shedsIn: (slot) => shedding.has(slot),
    replaced,
    isCurrent: () => disk.current,
  });
  const child = (index: number): FakeChild => {
    const found = children[index];
    assert.ok(found, `child ${index} was not started`);
    return found;
  };
  const listen = (index: number, epoch = 1) =>
    child(index).tell({ type: "listening", epoch, slot: index, notice: null });
  const tick = (ms: number) => context.mock.timers.tick(ms);
  return { workers, children, child, listen, tick, lines, serving, freed, hanging, shedding, replaced, disk };
}

/** Two workers that serve. */
async function running(context: TestContext) {
  const all = crew(context, 2);
  const started = all.workers.start();
  all.listen(0);
  all.listen(1);
  await started;
  return all;
}

test("every worker is configured first, and the start ends when all of them serve", async (context) => {
  const { workers, child, serving, children } = await running(context);
  assert.deepEqual(child(0).sent, [{ type: "configure", epoch: 1, config: CONFIG, program: PROGRAM }]);
  assert.equal(workers.serving, 2);
  assert.deepEqual(serving, [1, 2]);
  assert.equal(children.length, 2);
});

test("what one of them explains is told with how many of them shed load", async (context) => {
  const { workers, child, shedding } = await running(context);
  shedding.add(1);
  const outcome = workers.explain({ key: "k", path: "/", headers: [], address: "", body: "{}" });
  const asked = child(0).sent.at(-1);
  assert.ok(asked?.type === "explain");
  const explanation = { key: null, workers: null } as Explanation;
  child(0).tell({ type: "explained", id: asked.id, explanation });
  assert.deepEqual(await outcome, { explanation: { key: null, workers: { serving: 2, shedding: 1 } } });
});

test("a dead worker frees its slot and is replaced at once; the other is not touched", async (context) => {
  const { workers, children, child, listen, tick, freed } = await running(context);
  child(0).end(null, "SIGKILL");
  assert.equal(workers.serving, 1);
  assert.deepEqual(freed, [0]);
  tick(0);
  assert.equal(children.length, 3);
  listen(2);
  assert.equal(workers.serving, 2);
  assert.equal(child(1).sent.length, 1);
});

test("a worker that dies early again waits longer each time", async (context) => {
  const { children, child, tick } = await running(context);
  for (let deaths = 1; deaths <= 5; deaths += 1) {
    child(children.length - 1).end(1);
    const started = children.length;
    tick(Math.max(delayAfter(deaths) - 1, 0));
    assert.equal(children.length, deaths === 1 ? started + 1 : started, `death ${deaths}`);
    if (deaths > 1) tick(1);
    assert.equal(children.length, started + 1);
  }
});

test("delays double from the second early death on, up to a bound", () => {
  assert.deepEqual([0, 1, 2, 3, 4, 30].map(delayAfter), [0, 0, 100, 200, 400, 10_000]);
});

test("a service whose worker never comes up ends with the worker's reason", async (context) => {
  const { workers, children, child, tick } = crew(context, 1);
  const refused = assert.rejects(workers.start(), { code: "workers_failed", message: /the port is taken/ });
  for (let i = 0; i < 3; i += 1) {
    child(i).tell({ type: "failed", code: "listen_failed", message: "the port is taken" });
    child(i).end(1);
    tick(1_000);
  }
  await refused;
  assert.equal(children.length, 3);
});

test("a worker whose heartbeat stands still is killed, counted and replaced; one that goes on in time is not", async (context) => {
  const { workers, children, child, listen, tick, hanging, replaced } = await running(context);
  hanging.add(0);
  tick(HUNG_MS - 1_000);
  hanging.delete(0);
  tick(2 * HUNG_MS);
  assert.equal(children.length, 2);
  hanging.add(0);
  tick(HUNG_MS + 1_000);
  assert.equal(child(0).connected, false);
  assert.equal(child(1).connected, true);
  hanging.delete(0);
  tick(0);
  listen(2);
  tick(2 * HUNG_MS);
  assert.equal(workers.serving, 2);
  assert.deepEqual([...replaced], [["hung", 1]]);
});

test("no worker is started from another program: all of it is to be replaced, again and again until this one is back", async (context) => {
  const { workers, children, child, tick, disk } = await running(context);
  const orders: number[] = [];
  workers.onOutdated = () => void orders.push(children.length);
  disk.current = false;
  child(0).end(1);
  tick(0);
  tick(OUTDATED_PAUSE_MS);
  assert.deepEqual(orders, [2, 2]);
  disk.current = true;
  tick(OUTDATED_PAUSE_MS);
  assert.equal(children.length, 3);
});

test("a worker that never says anything is killed and tried again", (context) => {
  const { workers, children, child, tick, lines } = crew(context, 1);
  void workers.start();
  tick(START_MS);
  assert.equal(child(0).connected, false);
  tick(0);
  assert.equal(children.length, 2);
  assert.match(lines.join(""), /does not come up/);
});

test("a configuration reaches all workers and is in force when all confirmed", async (context) => {
  const { workers, child } = await running(context);
  const done = workers.configure({ epoch: 2, config: CONFIG });
  for (const index of [0, 1]) {
    assert.equal(child(index).sent.at(-1)?.type, "configure");
    child(index).tell({ type: "configured", epoch: 2 });
  }
  assert.deepEqual(await done, []);
});

test("a worker that does not confirm in time is named", async (context) => {
  const { workers, child, tick } = await running(context);
  const done = workers.configure({ epoch: 2, config: CONFIG });
  child(0).tell({ type: "configured", epoch: 2 });
  tick(CONFIRM_MS);
  assert.deepEqual(await done, [child(1).pid]);
});

test("a worker that dies instead of confirming holds nothing up, and the next one starts with the new configuration", async (context) => {
  const { workers, child, tick } = await running(context);
  const done = workers.configure({ epoch: 2, config: CONFIG });
  child(0).tell({ type: "configured", epoch: 2 });
  child(1).end(1);
  assert.deepEqual(await done, []);
  tick(0);
  assert.deepEqual(child(2).sent, [{ type: "configure", epoch: 2, config: CONFIG, program: PROGRAM }]);
});

test("a worker that comes up during a reload is configured again", async (context) => {
  const { workers, child, listen, tick } = await running(context);
  child(0).end(1);
  tick(0);
  const done = workers.configure({ epoch: 2, config: CONFIG });
  child(1).tell({ type: "configured", epoch: 2 });
  assert.equal(child(2).sent.length, 1);
  listen(2);
  assert.equal(child(2).sent.length, 2);
  child(2).tell({ type: "configured", epoch: 2 });
  assert.deepEqual(await done, []);
});

test("a drain ends when all workers ended, and none is replaced", async (context) => {
  const { workers, children, child, tick } = await running(context);
  const drained = workers.drain(1_000);
  assert.deepEqual(child(0).sent.at(-1), { type: "drain", deadlineMs: 1_000 });
  child(0).end(0);
  child(1).end(0);
  await drained;
  tick(START_MS);
  assert.equal(children.length, 2);
});

test("a worker that does not end in time is killed", async (context) => {
  const { workers, child, tick, lines } = await running(context);
  const drained = workers.drain(1_000);
  child(0).end(0);
  tick(1_000 + GRACE_MS - 1);
  assert.equal(child(1).connected, true);
  tick(1);
  await drained;
  assert.equal(child(1).connected, false);
  assert.match(lines.join(""), /did not end in time/);
});

test("a worker that is still starting is not waited for", async (context) => {
  const { workers, child } = crew(context, 1);
  void workers.start();
  await workers.drain(60_000);
  assert.equal(child(0).connected, false);
});

test("a worker's environment has what the runtime reads, and no credential", () => {
  const env = { PATH: "/bin", LC_ALL: "C", NODE_OPTIONS: "--x", OPENAI_API_KEY: "sk-1", NODE: "n", AWS_PATH: "p" };
  assert.deepEqual(runtimeEnv(env), { PATH: "/bin", LC_ALL: "C", NODE_OPTIONS: "--x" });
});
