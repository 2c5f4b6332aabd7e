/** A next program that cannot start after its trial, a deadline that passes, counts that go on, and workers that hang. */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { renameSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { chat, open } from "../support/http-client.ts";
import { isAlive } from "../support/process-tree.ts";
import { ProgramTree } from "../support/program-tree.ts";
import { STREAM_BODY } from "../support/raw-request.ts";
import { Sluice } from "../support/sluice.ts";
import { until } from "../support/until.ts";
import { Upstream } from "../support/upstream.ts";

const upstream = await Upstream.start();
after(() => upstream.stop());

function holdStream(sluice: Sluice, gate: string): Promise<Response> {
  return open(sluice, "/chat/completions", { body: STREAM_BODY, headers: { "x-mock": `hold=${gate}` } });
}

const TRIED = "the next generation did not start; it is tried again";
const LOST_FILE = "src/control/admin.ts";

/** A gateway whose next program loses a file between its trial and its start, and a stream that runs. */
async function startDoomed(gate: string) {
  const tree = new ProgramTree();
  const lose = `if (fault === null) { (await import("node:fs")).renameSync("${tree.root}/${LOST_FILE}", "${tree.root}/lost.ts");`;
  tree.change("src/supervisor/restart.ts", "if (fault === null) {", lose);
  const sluice = await Sluice.start(upstream, { workers: 2, timeouts: { drain: "30s" } }, tree.root);
  const stream = await holdStream(sluice, gate);
  const command = sluice.command("restart");
  await until("it is tried again", () => sluice.log.includes(TRIED));
  return { tree, sluice, stream, command };
}

test("a program that lost a file after its trial is tried until it is whole; the old workers serve, and no stream ends", async () => {
  const { tree, sluice, stream, command } = await startDoomed("doomed");
  const workers = sluice.workerPids();
  for (let i = 0; i < 20; i += 1) strictEqual((await chat(sluice)).status, 200);
  deepStrictEqual(sluice.workerPids(), workers);
  renameSync(join(tree.root, "lost.ts"), join(tree.root, LOST_FILE));
  strictEqual((await command).code, 0);
  strictEqual((await chat(sluice)).status, 200);
  await upstream.open("doomed");
  match(await stream.text(), /data: \[DONE\]\n\n$/);
  strictEqual((await sluice.records(22)).length, 22);
  await sluice.stop();
  tree.remove();
});

test("told to stop while the next program does not start: streams are finished, and their records wait for the next start", async () => {
  const { tree, sluice, stream } = await startDoomed("stopped");
  sluice.signal("SIGTERM");
  await until("it stops", () => sluice.log.includes("stopping while the next generation did not start"));
  await upstream.open("stopped");
  match(await stream.text(), /data: \[DONE\]\n\n$/);
  strictEqual(await sluice.end(), 0, sluice.log);
  renameSync(join(tree.root, "lost.ts"), join(tree.root, LOST_FILE));
  await sluice.launch();
  strictEqual((await sluice.records(1)).length, 1);
  await sluice.stop();
  tree.remove();
});

test("a worker that dies when another program is on disk: nothing is started from it, the whole program is replaced", async () => {
  const tree = new ProgramTree();
  const sluice = await Sluice.start(upstream, { workers: 2, timeouts: { drain: "30s" } }, tree.root);
  const stream = await Promise.all(Array.from({ length: 16 }, () => holdStream(sluice, "outdated")));
  tree.change("package.json", '"version": "', '"version": "9.');
  const [victim = 0, survivor = 0] = sluice.workerPids();
  process.kill(victim, "SIGKILL");
  await until("the next generation serves", async () => sluice.log.includes('"generation":2,"msg":"ready"'));
  match(sluice.log, /another program is on disk: no worker is started before a restart/);
  ok(isAlive(survivor));
  match(await sluice.metricsPage(), /sluice_info\{version="9\./);
  strictEqual((await chat(sluice)).status, 200);
  await upstream.open("outdated");
  const ends = await Promise.all(stream.map((one) => one.text().catch(() => "cut")));
  ok(ends.some((text) => text.endsWith("data: [DONE]\n\n")));
  await sluice.stop();
  tree.remove();
});

test("a worker dies and the program on disk does not work: the others serve, until it does", async () => {
  const tree = new ProgramTree();
  const sluice = await Sluice.start(upstream, { workers: 2 }, tree.root);
  const { pid } = sluice;
  const [sound, broken] = ["snapshot = compileSnapshot(config, epoch", "snapshot = compileSnapshot(none, epoch"];
  tree.change("src/gateway/worker.ts", sound, broken);
  const [victim = 0] = sluice.workerPids();
  process.kill(victim, "SIGKILL");
  await until("the restart is refused", () => sluice.log.includes("restart refused, what runs stays"));
  for (let i = 0; i < 10; i += 1) strictEqual((await chat(sluice)).status, 200);
  strictEqual(sluice.workerPids().length, 1);
  tree.change("src/gateway/worker.ts", broken, sound);
  await until("both serve", async () => (await sluice.metric("sluice_workers_up")) === 2);
  strictEqual(sluice.pid, pid);
  await sluice.stop();
  tree.remove();
});

test("counts that only the supervisor has go on over a restart", async () => {
  const sluice = await Sluice.start(upstream);
  for (let i = 0; i < 5; i += 1) await chat(sluice);
  const [victim = 0] = sluice.workerPids();
  process.kill(victim, "SIGKILL");
  const names = [
    "sluice_model_requests_total",
    "sluice_model_tokens_total",
    "sluice_model_cost_dollars_total",
    "sluice_records_stored_total",
    "sluice_access_log_lines_total",
    "sluice_workers_replaced_total",
  ];
  const values = () => Promise.all(names.map((name) => sluice.metric(name)));
  await until("all is counted", async () => (await values()).slice(3).join() === "5,5,1");
  const before = await values();
  ok(before.every((value) => value > 0));
  await until("it serves again", async () => (await sluice.metric("sluice_workers_up")) === 1);
  for (let i = 0; i < 2; i += 1) strictEqual((await sluice.command("restart")).code, 0);
  deepStrictEqual(await values(), before);
  await chat(sluice);
  await until("the next is counted", async () => (await sluice.metric("sluice_records_stored_total")) === 6);
  await sluice.stop();
});

test("lines that the access log could not take are handed over, and written once", async () => {
  const sluice = await Sluice.start(upstream);
  await chat(sluice);
  await until("there is a log", async () => (await sluice.accessLogText()) !== "");
  rmSync(sluice.accessLog);
  symlinkSync("/dev/full", sluice.accessLog);
  sluice.signal("SIGUSR2");
  await until("it is reopened", () => sluice.log.includes("access log reopened"));
  const ids: string[] = [];
  for (let i = 0; i < 5; i += 1) ids.push((await chat(sluice)).requestId);
  await sluice.records(6);
  strictEqual((await sluice.command("restart")).code, 0);
  ids.push((await chat(sluice)).requestId);
  await sluice.records(7);
  rmSync(sluice.accessLog);
  sluice.signal("SIGUSR2");
  const logged = async () => (await sluice.accessLogText()).split("\n").slice(0, -1);
  await until("all lines are there", async () => (await logged()).length >= ids.length);
  deepStrictEqual(
    (await logged()).map((line) => (JSON.parse(line) as { request_id: string }).request_id),
    ids,
  );
  strictEqual(await sluice.metric("sluice_access_log_dropped_lines_total"), 0);
  await sluice.stop();
});

test("a stream in an old worker at the deadline is ended with an error, and the worker with it", async () => {
  const sluice = await Sluice.start(upstream, { timeouts: { drain: "1s" } });
  const [old = 0] = sluice.workerPids();
  const stream = await holdStream(sluice, "late");
  strictEqual((await sluice.command("restart")).code, 0);
  match(await stream.text(), /"code": ?"[a-z_]+"/);
  await until("the old worker has ended", () => !isAlive(old));
  await upstream.open("late");
  await sluice.stop();
});

test("a worker that hangs is killed and replaced by the supervisor, and the others serve meanwhile", async () => {
  const sluice = await Sluice.start(upstream, { workers: 2 });
  const [hung = 0, other = 0] = sluice.workerPids();
  process.kill(hung, "SIGSTOP");
  await until("it is replaced", () => !isAlive(hung), 30_000);
  await until("both serve", async () => (await sluice.metric("sluice_workers_up")) === 2);
  ok(sluice.workerPids().includes(other));
  match(sluice.log, /worker hangs; killing it/);
  strictEqual(await sluice.metric("sluice_workers_replaced_total", { reason: "hung" }), 1);
  strictEqual(await sluice.metric("sluice_workers_replaced_total", { reason: "died" }), 0);
  await sluice.stop();
});
