/** Several listeners at once: ports, and a unix socket that two workers share. */
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { freePort } from "../../native-bench/contestants/free-port.ts";
import { isAlive } from "../support/process-tree.ts";
import { Program, ROOT } from "../support/program.ts";
import { RawClient } from "../support/raw-client.ts";
import { requestBytes, STREAM_BODY } from "../support/raw-request.ts";
import { Sluice } from "../support/sluice.ts";
import { until } from "../support/until.ts";
import { Upstream } from "../support/upstream.ts";

const upstream = await Upstream.start();
const directory = mkdtempSync(join(tmpdir(), "sluice-listeners-"));
after(async () => {
  await upstream.stop();
  rmSync(directory, { recursive: true });
});

function start(listen: readonly (string | { address: string; mode?: string })[], workers = 1): Promise<Sluice> {
  return Sluice.start(upstream, { listen, workers });
}

async function statusAt(client: RawClient): Promise<number> {
  const { status } = await client.ask(requestBytes());
  client.leave();
  return status;
}

async function statusOn(path: string): Promise<number> {
  return statusAt(await RawClient.connectPath(path));
}

async function refuses(path: string): Promise<boolean> {
  return RawClient.connectPath(path).then(
    (client) => {
      client.leave();
      return false;
    },
    () => true,
  );
}

test("two ports and a socket serve the same gateway", async () => {
  const [first, second] = [await freePort(), await freePort()];
  const path = join(directory, "three.sock");
  const sluice = await start([`127.0.0.1:${first}`, `127.0.0.1:${second}`, `unix:${path}`]);
  strictEqual(await statusAt(await RawClient.connect(first)), 200);
  strictEqual(await statusAt(await RawClient.connect(second)), 200);
  strictEqual(await statusOn(path), 200);
  const lines = await until("three lines are in the access log", async () => {
    const all = (await sluice.accessLogText()).split("\n").slice(0, -1);
    return all.length === 3 ? all : undefined;
  });
  deepStrictEqual(
    lines.map((line) => JSON.parse(line).client_address),
    ["127.0.0.1", "127.0.0.1", ""],
  );
  await sluice.stop();
});

test("a socket has its mode from the beginning, and is gone at the end", async () => {
  const path = join(directory, "mode.sock");
  const sluice = await start([{ address: `unix:${path}`, mode: "0604" }]);
  strictEqual(statSync(path).mode & 0o777, 0o604);
  deepStrictEqual([statSync(path).isSocket(), existsSync(`${path}.new`)], [true, false]);
  await sluice.stop();
  strictEqual(existsSync(path), false);
});

test("a killed worker costs no connection to the socket: the others take what waits in its queue", async () => {
  const path = join(directory, "killed.sock");
  const sluice = await start([`unix:${path}`], 2);
  const [victim, other] = sluice.workerPids();
  if (victim === undefined || other === undefined) throw new Error("two workers are expected");
  process.kill(victim, "SIGKILL");
  await until("the worker is dead", () => !isAlive(victim));
  for (let i = 0; i < 20; i += 1) strictEqual(await statusOn(path), 200);
  // With nobody to accept, connections wait for a successor.
  process.kill(other, "SIGKILL");
  await until("the other worker is dead, too", () => !isAlive(other));
  const waiting = await Promise.all(Array.from({ length: 8 }, () => statusOn(path)));
  deepStrictEqual(new Set(waiting), new Set([200]));
  await until("two workers serve", async () => (await sluice.metric("sluice_workers_up")) === 2);
  await sluice.stop();
});

test("both workers take connections from the socket", async () => {
  const path = join(directory, "both.sock");
  const sluice = await start([`unix:${path}`], 2);
  const [stopped, other] = sluice.workerPids();
  if (stopped === undefined || other === undefined) throw new Error("two workers are expected");
  for (const pid of [stopped, other]) {
    process.kill(pid, "SIGSTOP");
    strictEqual(await statusOn(path), 200);
    process.kill(pid, "SIGCONT");
  }
  await sluice.stop();
});

test("a drain finishes the stream on a socket and takes no new connection", async () => {
  const path = join(directory, "drain.sock");
  const sluice = await start([`unix:${path}`]);
  const client = await RawClient.connectPath(path);
  await client.send(requestBytes({ body: STREAM_BODY, headers: { "x-mock": "hold=socket" } }));
  await client.sees("data: ");
  sluice.signal("SIGTERM");
  await until("new connections are refused", () => refuses(path));
  await upstream.open("socket");
  match((await client.response())?.body.toString() ?? "", /data: \[DONE\]\n\n$/);
  strictEqual(await sluice.end(), 0, sluice.log);
  await sluice.remove();
});

test("a socket that a killed gateway left is replaced", async () => {
  const path = join(directory, "left.sock");
  const sluice = await start([`unix:${path}`]);
  await sluice.kill();
  strictEqual(existsSync(path), true);
  await sluice.launch();
  strictEqual(await statusOn(path), 200);
  await sluice.stop();
});

/** What a gateway that cannot start says. */
async function refusal(listen: string): Promise<string> {
  const file = join(directory, "refused.yaml");
  const admin = { listen: `127.0.0.1:${await freePort()}` };
  const form = { listen, admin, data_dir: join(directory, "data"), providers: { demo: { type: "demo" } } };
  writeFileSync(file, JSON.stringify(form));
  const program = new Program([join(ROOT, "src/main.ts"), "serve", "-c", file]);
  strictEqual(await program.end(), 1);
  return program.stderr();
}

test("another program's socket, a file and a missing folder are refused in words", async () => {
  const served = join(directory, "served.sock");
  const server = createServer().listen(served);
  match(await refusal(`unix:${served}`), /Another program serves the socket/);
  server.close();
  const file = join(directory, "file");
  writeFileSync(file, "precious");
  match(await refusal(`unix:${file}`), /exists and is not a socket/);
  strictEqual(statSync(file).size, 8);
  match(await refusal(`unix:${directory}/nowhere/a.sock`), /Cannot make the socket .*No such file/);
});
