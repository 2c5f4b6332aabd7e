/** Native connections and the life of their process: what keeps it alive, what its end does to them, and threads that end. */
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { RawServer } from "../support/raw-server.ts";
import { until, within } from "../support/until.ts";

const CHILD = fileURLToPath(new URL("../support/native-upstream-child.ts", import.meta.url));

interface Child {
  readonly exited: Promise<unknown>;
  readonly text: () => string;
}

const DESCRIPTORS_MAX = 128;

function child(t: TestContext, ...args: string[]): Child {
  const command = `ulimit -n ${DESCRIPTORS_MAX} && exec "$0" --disable-warning=ExperimentalWarning "$@"`;
  const program = spawn("sh", ["-c", command, process.execPath, CHILD, ...args]);
  let text = "";
  for (const stream of [program.stdout, program.stderr]) stream.on("data", (chunk) => (text += String(chunk)));
  t.after(() => program.kill("SIGKILL"));
  return { exited: once(program, "close"), text: () => text };
}

/** Begins an answer and never ends it. */
const begins = (socket: Socket) =>
  void socket.once("data", () => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 10000000\r\n\r\nabc"));

for (const state of ["unused", "idle", "closed", "failing"]) {
  test(`a process with connections that are ${state} ends by itself`, async (t) => {
    const server = await RawServer.open(t, { onSocket: (socket) => void socket.resume() });
    const { exited, text } = child(t, String(server.port), state);
    deepStrictEqual(await within("its end", exited), [0, null], text());
    strictEqual(text(), "there\n");
    await until("its connections ended", () => server.connections.every(({ destroyed }) => destroyed));
  });
}

for (const state of ["active", "sending"]) {
  test(`a process with a connection that is ${state} goes on until that ends`, async (t) => {
    const server = await RawServer.open(t, {
      onSocket: state === "sending" ? (socket) => void socket.pause() : begins,
    });
    const { exited, text } = child(t, String(server.port), state);
    await until("it is there", () => text() === "there\n");
    (await server.socket()).resetAndDestroy();
    deepStrictEqual(await within("its end", exited), [0, null], text());
    strictEqual(text(), "there\n");
  });
}

for (const state of ["unused", "idle", "active", "paused", "sending", "connecting", "failing"]) {
  test(`a thread that is ended with connections that are ${state}`, async (t) => {
    const server = await RawServer.open(t, {
      onSocket: state === "sending" ? (socket) => void socket.pause() : begins,
    });
    const { exited, text } = child(t, String(server.port), state, "worker");
    // A loop that still has a handle ends the process with an assertion.
    deepStrictEqual(await within("its end", exited), [0, null], text());
    match(text(), /^terminated \d\n$/);
  });
}

test("connections for which there is no descriptor fail, and no other does", async (t) => {
  const server = await RawServer.open(t, { onSocket: (socket) => void socket.resume() });
  const { exited, text } = child(t, String(server.port), "crowded");
  deepStrictEqual(await within("its end", exited), [0, null], text());
  strictEqual(text(), "Too many open files, connected\nthere\n");
});

test("an error that onEvents throws is an uncaught exception", async (t) => {
  const server = await RawServer.open(t, { onSocket: begins });
  const { exited, text } = child(t, String(server.port), "thrown");
  await until("it is there", () => text() === "there\n");
  (await server.socket()).write("more");
  deepStrictEqual(await within("its end", exited), [1, null], text());
  match(text(), /Error: from onEvents/);
});
