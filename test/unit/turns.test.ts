/** When all that was ready has been served: a pass over all that can be read, and not a turn of libuv's loop. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { native } from "../../src/native/native.ts";
import { RawClient } from "../support/raw-client.ts";
import { until } from "../support/until.ts";

/** More than libuv is told of at once. */
const CONNECTIONS = 1_100;
const NATIVE = new URL("../../src/native/native.ts", import.meta.url).href;

test("it is told again and again until nobody wants to know, and to each for itself", async () => {
  let [brief, long] = [0, 0];
  native.eachTurn(() => {
    brief += 1;
    return false;
  });
  native.eachTurn(() => {
    long += 1;
    return long < 3;
  });
  strictEqual(long, 0);
  await until("all was told", () => long === 3);
  for (let i = 0; i < 5; i += 1) await turn();
  deepStrictEqual([brief, long], [1, 3]);
});

test("who asks while it is told is told the next time", async () => {
  const told: string[] = [];
  native.eachTurn(() => {
    told.push("first");
    native.eachTurn(() => {
      told.push("second");
      return false;
    });
    strictEqual(told.length, 1);
    return false;
  });
  await until("both were told", () => told.length === 2);
  deepStrictEqual(told, ["first", "second"]);
});

test("all that was ready before has been served", async () => {
  let served = 0;
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.on("data", () => {
      served += 1;
    });
  });
  // Unix sockets: what was written can be read at once.
  const directory = mkdtempSync(join(tmpdir(), "sluice-turns-"));
  after(() => rmSync(directory, { recursive: true }));
  const path = join(directory, "socket");
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const clients: RawClient[] = [];
  for (let i = 0; i < CONNECTIONS; i += 1) clients.push(await RawClient.connectPath(path));
  for (let round = 1; round <= 3; round += 1) {
    for (const client of clients) client.socket.write("x");
    let atTurn = 0;
    native.eachTurn(() => {
      atTurn = served;
      return false;
    });
    await until("it was told", () => atTurn > 0);
    strictEqual(atTurn, round * CONNECTIONS);
  }
  for (const client of clients) client.leave();
  server.close();
});

test("it keeps no process alive, and ends with it", () => {
  const text = `import(${JSON.stringify(NATIVE)}).then(({ native }) => native.eachTurn(() => true))`;
  const all = ["--disable-warning=ExperimentalWarning", "--eval", text];
  const { status, stderr } = spawnSync(process.execPath, all, { encoding: "utf8", timeout: 20_000 });
  deepStrictEqual([status, stderr], [0, ""]);
});
