/** kill -9 of everything under load: every answer that a client received whole has exactly one record after the restart. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { after, test } from "node:test";
import { ask } from "../support/http-client.ts";
import { Sluice } from "../support/sluice.ts";
import { until } from "../support/until.ts";
import { Upstream } from "../support/upstream.ts";

const upstream = await Upstream.start();
after(() => upstream.stop());
const CLIENTS = 16;
const ROUNDS = 3;
const ANSWERS_PER_ROUND = 400;

/** Asks until the program is gone, and notes each answer that arrived whole. */
async function askUntilGone(sluice: Sluice, client: string, whole: string[]): Promise<void> {
  for (let i = 0; ; i += 1) {
    const id = `${client}-${i}`;
    const answer = await askWithId(sluice, id, i % 2 === 0).catch(() => null);
    if (answer === null) return;
    strictEqual(answer.status, 200);
    whole.push(id);
  }
}

function askWithId(sluice: Sluice, id: string, stream: boolean): Promise<{ status: number }> {
  const body = { model: "gpt-4o", stream, messages: [{ role: "user", content: "Say it." }] };
  return ask(sluice, "/chat/completions", { body, headers: { "x-request-id": id } });
}

test("three times killed under load, every whole answer has exactly one record", async () => {
  const sluice = await Sluice.start(upstream, { workers: 2 });
  const whole: string[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const enough = whole.length + ANSWERS_PER_ROUND;
    const clients = Array.from({ length: CLIENTS }, (_, i) => askUntilGone(sluice, `r${round}c${i}`, whole));
    await until("enough answers arrived", () => whole.length >= enough, 60_000);
    await sluice.kill();
    await Promise.all(clients);
    await sluice.launch();
  }
  const rows = await sluice.records(whole.length);
  const recorded = rows.map((row) => row.request_id);
  const missing = whole.filter((id) => !recorded.includes(id));
  deepStrictEqual(missing, []);
  strictEqual(new Set(recorded).size, recorded.length);
  await sluice.stop();
});

test("a worker killed under load loses no record of a whole answer", async () => {
  const sluice = await Sluice.start(upstream, { workers: 1 });
  const whole: string[] = [];
  const clients = Array.from({ length: 8 }, (_, i) => askUntilGone(sluice, `w${i}`, whole));
  await until("enough answers arrived", () => whole.length >= ANSWERS_PER_ROUND, 60_000);
  for (const pid of sluice.workerPids()) process.kill(pid, "SIGKILL");
  await Promise.all(clients);
  await until("Sluice is ready again", () => sluice.isReady());
  const recorded = (await sluice.records(whole.length)).map((row) => row.request_id);
  deepStrictEqual(
    whole.filter((id) => !recorded.includes(id)),
    [],
  );
  strictEqual(new Set(recorded).size, recorded.length);
  await sluice.stop();
});
