/** `sluice restart` and `sluice reload`: no request notices, and what cannot be used changes nothing. */
import { deepStrictEqual, match, notDeepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { readFile, rename } from "node:fs/promises";
import { get } from "node:http";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, test } from "node:test";
import { Auditor } from "../audit/auditor.ts";
import { standardConfig } from "../support/config.ts";
import { ask, chat, open } from "../support/http-client.ts";
import { ProgramTree } from "../support/program-tree.ts";
import { STREAM_BODY } from "../support/raw-request.ts";
import { Sluice } from "../support/sluice.ts";
import { until } from "../support/until.ts";
import { Upstream } from "../support/upstream.ts";
import { readRecords } from "../support/usage-db.ts";

const upstream = await Upstream.start();
after(() => upstream.stop());

function holdStream(sluice: Sluice, gate: string): Promise<Response> {
  return open(sluice, "/chat/completions", { body: STREAM_BODY, headers: { "x-mock": `hold=${gate}` } });
}

async function restart(sluice: Sluice): Promise<string> {
  const { code, text } = await sluice.command("restart");
  strictEqual(code, 0, text + sluice.log);
  return text;
}

async function refused(sluice: Sluice, order: "reload" | "restart"): Promise<string> {
  const workers = sluice.workerPids();
  const { code, text } = await sluice.command(order);
  strictEqual(code, 1, text);
  deepStrictEqual(sluice.workerPids(), workers);
  strictEqual((await chat(sluice)).status, 200);
  return text;
}

/** Asks the admin port for readiness all the time, each time on a connection of its own; `end`: all statuses that came. */
function watchHealth(sluice: Sluice): { end(): Promise<number[]> } {
  const state = { stopped: false };
  const statuses = new Set<number>();
  const asking = (async () => {
    while (!state.stopped) statuses.add(await readiness(sluice));
  })();
  return {
    end: async () => {
      state.stopped = true;
      await asking;
      return [...statuses];
    },
  };
}

/** 0: nobody answered. */
function readiness(sluice: Sluice): Promise<number> {
  return new Promise((resolve) => {
    const asked = get(`${sluice.adminUrl}/health/ready`, { agent: false }, (answer) => {
      answer.resume().on("close", () => resolve(answer.statusCode ?? 0));
    });
    asked.on("error", () => resolve(0));
  });
}

test("reloads and restarts under load: every request is answered, forwarded, recorded and logged exactly once", async () => {
  const sluice = await Sluice.start(upstream, { workers: 2, timeouts: { drain: "30s" } });
  await upstream.reset();
  const auditor = new Auditor(sluice, upstream);
  auditor.begin(1);
  const health = watchHealth(sluice);
  for (let i = 0; i < 3; i += 1) {
    const { code, text } = await sluice.command("reload");
    strictEqual(code, 0, text);
    match(await restart(sluice), new RegExp(`Generation ${i + 2} serves`));
  }
  const { requests, failed, unbalanced, strangers } = await auditor.end();
  deepStrictEqual({ failed, unbalanced, strangers }, { failed: [], unbalanced: [], strangers: [] });
  // A question that is being answered when the program changes is cut.
  deepStrictEqual(
    (await health.end()).filter((status) => status !== 0),
    [200],
  );
  ok(requests > 100);
  await sluice.stop();
});

test("a stream outlives two restarts; process, counters and histograms stay, and the old workers end", async () => {
  const sluice = await Sluice.start(upstream, { workers: 2, timeouts: { drain: "30s" } });
  const first = sluice.workerPids();
  const stream = await holdStream(sluice, "two-restarts");
  for (let i = 0; i < 5; i += 1) await chat(sluice);
  const counted = await sluice.metric("sluice_requests_total", { status_class: "2xx" });
  await restart(sluice);
  await restart(sluice);
  strictEqual(sluice.workerPids().length > 2, true);
  strictEqual(await sluice.metric("sluice_requests_total", { status_class: "2xx" }), counted);
  strictEqual((await chat(sluice)).status, 200);
  await upstream.open("two-restarts");
  match(await stream.text(), /data: \[DONE\]\n\n$/);
  await until("the old workers have ended", () => sluice.workerPids().length === 2, 40_000);
  notDeepStrictEqual(sluice.workerPids(), first);
  strictEqual(await sluice.metric("sluice_requests_total", { status_class: "2xx" }), counted + 2);
  await sluice.stop();
});

test("stopped with streams in an old and a new generation: both are finished, and recorded", async () => {
  const sluice = await Sluice.start(upstream, { timeouts: { drain: "30s" } });
  const old = await holdStream(sluice, "old");
  await restart(sluice);
  const young = await holdStream(sluice, "young");
  sluice.signal("SIGTERM");
  await until("readiness is gone", async () => (await sluice.healthStatus("ready")) === 503);
  for (const [gate, stream] of [
    ["old", old],
    ["young", young],
  ] as const) {
    await upstream.open(gate);
    match(await stream.text(), /data: \[DONE\]\n\n$/);
  }
  strictEqual(await sluice.end(), 0, sluice.log);
  strictEqual(readRecords(sluice.dataDir).length, 2);
  await sluice.remove();
});

test("a configuration with a mistake: reload and restart show it with its place, exit with 1 and change nothing", async () => {
  const sluice = await Sluice.start(upstream);
  const good = await readFile(sluice.configFile, "utf8");
  await sluice.configureText(good.replace('"workers"', '"wrokers"'));
  for (const order of ["reload", "restart"] as const)
    match(await refused(sluice, order), /sluice\.yaml:\d+:\d+.*wrokers/s);
  // What the command line cannot see: the service lacks the variable.
  await sluice.configureText(good.replace('"MOCK_KEY"', '"MOCK_KEY_2"'));
  for (const order of ["reload", "restart"] as const) match(await refused(sluice, order), /MOCK_KEY_2/);
  await sluice.configureText(good);
  strictEqual((await sluice.command("reload")).code, 0);
  await sluice.stop();
  const { code, text } = await sluice.command("reload");
  strictEqual(code, 1);
  ok(text !== "");
});

test("workers and ports of a new configuration come with a restart; a port in use is refused before", async () => {
  const sluice = await Sluice.start(upstream);
  const good = await readFile(sluice.configFile, "utf8");
  const taken = `127.0.0.1:${upstream.ports.controlPort}`;
  await sluice.configureText(good.replace(/"admin": \{[^}]*\}/, `"admin": { "listen": "${taken}" }`));
  match(await refused(sluice, "restart"), /Another program uses port/);
  await sluice.configure({ ...standardConfig(upstream), workers: 2 });
  match(await restart(sluice), /2 workers\)/);
  await sluice.stop();
});

test("a program that does not work is refused; a newer one with another memory layout takes over without a loss", async () => {
  const tree = new ProgramTree();
  const sluice = await Sluice.start(upstream, { workers: 2, timeouts: { drain: "30s" } }, tree.root);
  await upstream.reset();
  tree.change("src/gateway/worker.ts", "let serving:", "let servin:");
  match(await refused(sluice, "restart"), /worker does not come up/);
  tree.change("src/gateway/worker.ts", "let servin:", "let serving:");
  await sluice.records(1);
  await rename(sluice.accessLog, `${sluice.accessLog}.1`);
  sluice.signal("SIGUSR2");
  await until("the log is reopened", () => sluice.log.includes("access log reopened"));
  const known = readRecords(sluice.dataDir).map((row) => row.request_id);
  const auditor = new Auditor(sluice, upstream);
  auditor.begin(1);
  await until("there is load", () => auditor.requests > 50);
  tree.change("package.json", '"version": "', '"version": "9.');
  tree.change("src/shm/layout.ts", "RING_VERSION = 2", "RING_VERSION = 3");
  tree.change("src/shm/layout.ts", "  [RING_VERSION, OWN_FORM]", "  [2, OWN_FORM],\n  [RING_VERSION, OWN_FORM]");
  tree.change("src/shm/layout.ts", "COUNTERS_VERSION = 2", "COUNTERS_VERSION = 3");
  tree.change("src/shm/histogram-map.ts", "HISTOGRAMS_VERSION = 1", "HISTOGRAMS_VERSION = 2");
  match(await restart(sluice), /version 9\./);
  match(await restart(sluice), /Generation 3/);
  const { failed, unbalanced, strangers } = await auditor.end();
  deepStrictEqual({ failed, unbalanced }, { failed: [], unbalanced: [] });
  deepStrictEqual(
    strangers.filter((id) => !known.includes(id)),
    [],
  );
  await sluice.stop();
  tree.remove();
});

test("a program that cannot read the records is refused before anything is given up", async () => {
  const sluice = await Sluice.start(upstream);
  await chat(sluice);
  await sluice.records(1);
  const database = new DatabaseSync(join(sluice.dataDir, "usage.db"), { timeout: 5_000 });
  const [own] = database.prepare("PRAGMA user_version").all();
  // As a newer release leaves it.
  database.exec("PRAGMA user_version = 99");
  match(await refused(sluice, "restart"), /was written by a newer release .*\nWhat runs stays in service/);
  database.exec(`PRAGMA user_version = ${Number(own?.["user_version"])}`);
  database.close();
  await restart(sluice);
  await sluice.stop();
});

test("a configuration that is spoiled after the trial: the old workers serve until it can be used", async () => {
  const tree = new ProgramTree();
  const spoil = 'if (fault === null) { (await import("node:fs")).appendFileSync(process.argv.at(-1) ?? "", "wrokers");';
  tree.change("src/supervisor/restart.ts", "if (fault === null) {", spoil);
  const sluice = await Sluice.start(upstream, {}, tree.root);
  const good = await readFile(sluice.configFile, "utf8");
  const command = sluice.command("restart");
  await until("it waits", () => sluice.log.includes("the next generation did not start; it is tried again"));
  for (let i = 0; i < 5; i += 1) strictEqual((await chat(sluice)).status, 200);
  await sluice.configureText(good);
  strictEqual((await command).code, 0);
  await sluice.stop();
  tree.remove();
});

test("new workers that do not come up after the trial are tried again, and the old ones serve meanwhile", async () => {
  const tree = new ProgramTree();
  const sluice = await Sluice.start(upstream, {}, tree.root);
  const [old = 0] = sluice.workerPids();
  const [sound, broken] = [
    "snapshot = compileSnapshot(config, epoch",
    'snapshot = config.dataDir.includes("trial-") && compileSnapshot(config, epoch',
  ];
  tree.change("src/gateway/worker.ts", sound, broken);
  const command = sluice.command("restart");
  await until("new workers fail", () => sluice.log.split("worker died; replacing it").length > 3);
  strictEqual(await sluice.isReady(), true);
  for (let i = 0; i < 5; i += 1) strictEqual((await chat(sluice)).status, 200);
  ok(sluice.workerPids().includes(old));
  tree.change("src/gateway/worker.ts", broken, sound);
  strictEqual((await command).code, 0);
  strictEqual((await chat(sluice)).status, 200);
  await sluice.stop();
  tree.remove();
});

test("the demo provider's answers outlive a restart", async () => {
  const providers = { demo: { type: "demo" } as unknown as { base_url: string } };
  const models = { demo: { provider: "demo" } };
  const sluice = await Sluice.start(upstream, { providers, models, passthrough: undefined });
  const body = { model: "demo", stream: true, messages: [{ role: "user", content: "Say it." }] };
  const state = { stopped: false };
  const endings: string[] = [];
  const askOn = async () => {
    while (!state.stopped) endings.push((await ask(sluice, "/chat/completions", { body })).text.slice(-14));
  };
  const clients = [askOn(), askOn(), askOn()];
  await until("there are answers", () => endings.length > 0);
  await restart(sluice);
  await restart(sluice);
  state.stopped = true;
  await Promise.all(clients);
  deepStrictEqual([...new Set(endings)], ["data: [DONE]\n\n"]);
  await sluice.stop();
});

test("a worker that is killed takes its own requests along and no other's", async () => {
  const sluice = await Sluice.start(upstream, { workers: 2 });
  const streams = await Promise.all(Array.from({ length: 24 }, () => holdStream(sluice, "one-killed")));
  const [victim = 0] = sluice.workerPids();
  process.kill(victim, "SIGKILL");
  await until(
    "it is replaced",
    async () => (await sluice.metric("sluice_workers_up")) === 2 && sluice.workerPids().length === 2,
  );
  await upstream.open("one-killed");
  const texts = await Promise.all(streams.map((stream) => stream.text().catch(() => null)));
  const whole = texts.filter((text) => text?.endsWith("data: [DONE]\n\n")).length;
  const lost = texts.filter((text) => text === null).length;
  strictEqual(whole + lost, streams.length);
  ok(whole > 0 && lost > 0, `${whole} whole, ${lost} lost`);
  strictEqual((await sluice.records(whole)).length, whole);
  await sluice.stop();
});
