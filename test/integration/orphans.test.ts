/** A supervisor that is killed alone: its workers finish and end, also one that had only begun to start. */
import { strictEqual } from "node:assert/strict";
import { after, test } from "node:test";
import { isAlive } from "../support/process-tree.ts";
import { Sluice } from "../support/sluice.ts";
import { until } from "../support/until.ts";
import { Upstream } from "../support/upstream.ts";

const upstream = await Upstream.start();
after(() => upstream.stop());

/** Waits until none of the processes is left; kills what is, so that a failing test leaves nothing behind. */
async function expectGone(pids: readonly number[]): Promise<void> {
  const left = (): number[] => pids.filter(isAlive);
  await until("the workers have ended", () => left().length === 0).catch(() => undefined);
  const orphans = left();
  for (const pid of orphans) process.kill(pid, "SIGKILL");
  strictEqual(orphans.length, 0, `workers without a supervisor: ${orphans.join()}`);
}

test("workers end when their supervisor is killed", async () => {
  const sluice = await Sluice.start(upstream, { workers: 2, timeouts: { drain: "1s" } });
  const workers = sluice.workerPids();
  sluice.signal("SIGKILL");
  await sluice.end();
  await expectGone(workers);
  await sluice.remove();
});

test("a worker that is starting when its supervisor is killed ends too", async () => {
  const sluice = await Sluice.start(upstream, { workers: 1, timeouts: { drain: "1s" } });
  const [first] = sluice.workerPids();
  if (first === undefined) throw new Error("a worker is expected");
  process.kill(first, "SIGKILL");
  const started = await until("the next worker starts", () => sluice.workerPids().find((pid) => pid !== first));
  sluice.signal("SIGKILL");
  await sluice.end();
  await expectGone([started]);
  await sluice.remove();
});
