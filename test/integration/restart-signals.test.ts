/** Signals and orders that come while `sluice restart` replaces the program: each has its effect, and none ends the process by itself. */
import { match, ok, strictEqual } from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, test } from "node:test";
import { standardConfig } from "../support/config.ts";
import { chat, open } from "../support/http-client.ts";
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

function timesIn(log: string, text: string): number {
  return log.split(text).length - 1;
}

const TAKES_OVER = '"msg":"the next generation takes over"';
const STARTS = '"msg":"starting"';

/** Between two signals, milliseconds. */
const PAUSE_MS = 5;

/** Signals from the beginning of a restart to its end, without a pause that matters. */
async function restartUnder(sluice: Sluice, signals: readonly NodeJS.Signals[]): Promise<number> {
  let sent = 0;
  const timer = setInterval(() => {
    sluice.signal(signals[sent % signals.length] ?? "SIGHUP");
    sent += 1;
  }, PAUSE_MS);
  const { code, text } = await sluice.command("restart");
  clearInterval(timer);
  strictEqual(code, 0, text + sluice.log);
  return sent;
}

test("SIGHUP and SIGUSR2 without a pause over restarts: the process lives, and the last configuration is in force", async () => {
  const sluice = await Sluice.start(upstream, { timeouts: { drain: "30s" } });
  const { pid } = sluice;
  for (let i = 0; i < 2; i += 1) ok((await restartUnder(sluice, ["SIGHUP", "SIGUSR2"])) > 50);
  const restart = sluice.command("restart");
  await until("it takes over", () => timesIn(sluice.log, TAKES_OVER) === 3);
  await sluice.configure({ ...standardConfig(upstream), keys: [] });
  sluice.signal("SIGHUP");
  await until("no key is known", async () => (await chat(sluice)).status === 401);
  strictEqual((await restart).code, 0);
  strictEqual(sluice.pid, pid);
  await sluice.stop();
});

for (const [when, moment] of [
  ["when the program changes", (log: string) => timesIn(log, TAKES_OVER) === 1],
  ["when the next program has just begun", (log: string) => timesIn(log, STARTS) === 2],
] as const) {
  test(`SIGTERM ${when}: what runs is finished, and recorded`, async () => {
    const sluice = await Sluice.start(upstream, { timeouts: { drain: "30s" } });
    const stream = await holdStream(sluice, `stop-${when}`);
    void sluice.command("restart");
    await until("the moment is there", () => moment(sluice.log));
    sluice.signal("SIGTERM");
    await until("it stops", () => sluice.log.includes("stopping: requests that run are finished"));
    await upstream.open(`stop-${when}`);
    match(await stream.text(), /data: \[DONE\]\n\n$/);
    strictEqual(await sluice.end(), 0, sluice.log);
    strictEqual(readRecords(sluice.dataDir).length, 1);
    await sluice.remove();
  });
}

test("SIGTERM during the trial: it is given up, and the gateway stops", async () => {
  const sluice = await Sluice.start(upstream);
  void sluice.command("restart");
  await until("the trial runs", () => sluice.log.includes("restart: trying the program"));
  sluice.signal("SIGTERM");
  strictEqual(await sluice.end(), 0, sluice.log);
  ok(!sluice.log.includes(TAKES_OVER));
  await sluice.remove();
});

test("a second restart and a reload during a restart are refused with the reason", async () => {
  const sluice = await Sluice.start(upstream);
  const first = sluice.command("restart");
  await until("the trial runs", () => sluice.log.includes("restart: trying the program"));
  const [second, reload] = await Promise.all([sluice.command("restart"), sluice.command("reload")]);
  // Both are programs that have to start: they may come when the first restart is over.
  if (second.code === 1) match(second.text, /Another restart is under way|The gateway is starting|No sluice answers/);
  if (reload.code === 1) match(reload.text, /A restart is under way|No sluice answers/);
  strictEqual((await first).code, 0);
  strictEqual((await chat(sluice)).status, 200);
  await sluice.stop();
});

test("workers receive signals: the next program's do not inherit that they are held", async () => {
  const sluice = await Sluice.start(upstream, { workers: 2 });
  strictEqual((await sluice.command("restart")).code, 0);
  for (const pid of [sluice.pid, ...sluice.workerPids()]) {
    const status = await readFile(`/proc/${pid}/status`, "utf8");
    match(status, /^SigBlk:\s+0+$/m);
  }
  await sluice.stop();
});
