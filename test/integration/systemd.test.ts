/** What systemd is told: readiness, reloads and the end, and life as long as every worker lives. */
import { match, strictEqual } from "node:assert/strict";
import { after, test } from "node:test";
import { NotifyReceiver } from "../support/notify-receiver.ts";
import { Sluice } from "../support/sluice.ts";
import { until } from "../support/until.ts";
import { Upstream } from "../support/upstream.ts";

const upstream = await Upstream.start();
after(() => upstream.stop());
/** Fed every 200 ms; a worker moves its heartbeat every 100. */
const WATCHDOG_USEC = "400000";

async function startWatched(receiver: NotifyReceiver, more: Readonly<Record<string, string>> = {}): Promise<Sluice> {
  return Sluice.start(upstream, { workers: 2 }, undefined, { NOTIFY_SOCKET: receiver.socket, ...more });
}

test("readiness, a reload, a restart and the end are told", async () => {
  const receiver = await NotifyReceiver.open();
  const sluice = await startWatched(receiver);
  await until("it is ready", () => receiver.count("READY=1") === 1);
  match(receiver.told.join(), /STATUS=2 workers serve; 0 requests in flight; generation 1/);
  strictEqual((await sluice.command("reload")).code, 0);
  await until("the reload is told", () => receiver.count("RELOADING=1") === 1 && receiver.count("READY=1") === 2);
  strictEqual((await sluice.command("restart")).code, 0);
  await until("the restart is told", () => receiver.count("RELOADING=1") === 2 && receiver.count("READY=1") === 3);
  match(receiver.told.join(), /2 workers serve, 2 of earlier generations finish; 0 requests in flight; generation 2/);
  strictEqual(receiver.count("WATCHDOG=1"), 0);
  await sluice.stop();
  await until("the end is told", () => receiver.count("STOPPING=1") === 1);
  await receiver.close();
});

test("the watchdog is fed until a worker hangs, and again when it goes on; the socket may be abstract", async () => {
  const receiver = await NotifyReceiver.open(true);
  const sluice = await startWatched(receiver, { WATCHDOG_USEC });
  const fed = () => receiver.count("WATCHDOG=1");
  const alarms = () => receiver.told.filter((text) => text.includes("1 of the workers do not move")).length;
  await until("it is fed", () => fed() >= 5);
  const [worker = 0] = sluice.workerPids();
  process.kill(worker, "SIGSTOP");
  await until("the alarm is told", () => alarms() >= 1);
  const before = fed();
  await until("the alarm is told again and again", () => alarms() >= 6);
  strictEqual(fed(), before);
  process.kill(worker, "SIGCONT");
  await until("it is fed again", () => fed() > before);
  await sluice.stop();
  await receiver.close();
});

test("restarts one after the other do not starve the watchdog: it is fed before and after each, however long its interval", async () => {
  const receiver = await NotifyReceiver.open();
  const sluice = await startWatched(receiver, { WATCHDOG_USEC: "3600000000" });
  const fed = () => receiver.count("WATCHDOG=1");
  await until("it is fed at the start", () => fed() === 1);
  for (const times of [3, 5]) {
    strictEqual((await sluice.command("restart")).code, 0);
    await until(`it is fed ${times} times`, () => fed() === times);
  }
  await sluice.stop();
  await receiver.close();
});

test("a watchdog that is meant for another process is not fed", async () => {
  const receiver = await NotifyReceiver.open();
  const sluice = await startWatched(receiver, { WATCHDOG_USEC, WATCHDOG_PID: "1" });
  await until("it is ready", () => receiver.count("READY=1") === 1);
  const answer = await sluice.command("reload");
  strictEqual(answer.code, 0, answer.text);
  strictEqual(receiver.count("WATCHDOG=1"), 0);
  await sluice.stop();
  await receiver.close();
});
