/** How long native connections are free: what the provider says of them, and what becomes of its addresses. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import type { Socket } from "node:net";
import { after, test } from "node:test";
import { ADDRESS_MISSES_MAX, ADDRESS_REFRESH_MS } from "../../src/base/limits.ts";
import { Addresses } from "../../src/upstream/addresses.ts";
import type { Origin } from "../../src/upstream/origin.ts";
import { ScriptedProvider } from "../support/request-path.ts";
import { ANSWER, ask, begun, GOOD, type OriginForm, originOf } from "../support/transports.ts";
import { until } from "../support/until.ts";

const provider = await ScriptedProvider.start((socket) => void socket.write(ANSWER));
after(() => provider.stop());

function opened(form: OriginForm = {}, host = "127.0.0.1"): Origin {
  const origin = originOf("native", `http://${host}:${provider.port}`, { connections: 4, ...form });
  after(() => origin.retire());
  return origin;
}

function answerWith(...lines: readonly string[]): void {
  provider.script = (socket) => socket.write(`HTTP/1.1 200 OK\r\n${lines.join("\r\n")}\r\ncontent-length: 2\r\n\r\n{}`);
}

/** Connections that are left so much later. */
function leftAfter(origin: Origin, ms: number): number {
  origin.sweep(performance.now() + ms);
  return origin.connections;
}

test("a provider that says how long it keeps connections shortens the time, by a second more, and never makes it longer", async () => {
  for (const [header, leftAt, goneAt] of [
    ["keep-alive: timeout=5, max=100", 3_500, 4_500],
    ["keep-alive: timeout=60", 9_500, 10_500],
    ["x-keep-alive: timeout=5", 9_500, 10_500],
  ] as const) {
    answerWith("connection: keep-alive", header);
    const origin = opened();
    origin.sweep(performance.now());
    deepStrictEqual((await ask(origin)).events, GOOD);
    deepStrictEqual([leftAfter(origin, leftAt), leftAfter(origin, goneAt)], [1, 0], header);
  }
});

test("a connection that the provider keeps for a second or less is not used again", async () => {
  for (const seconds of [0, 1]) {
    answerWith(`keep-alive: timeout=${seconds}`);
    const origin = opened();
    deepStrictEqual((await ask(origin)).events, GOOD);
    strictEqual(origin.connections, 0);
  }
});

test("one that may be free for a shorter time than those before it is not taken when that is over", async () => {
  const answers: Socket[] = [];
  provider.script = (socket) => answers.push(socket);
  const origin = opened();
  origin.sweep(performance.now());
  const attempts = [begun(origin).heard, begun(origin).heard];
  await until("both arrived", () => answers.length === 2);
  answers[0]?.write(ANSWER);
  await Promise.race(attempts.map(({ over }) => over));
  answers[1]?.write(`HTTP/1.1 200 OK\r\nkeep-alive: timeout=3\r\ncontent-length: 2\r\n\r\n{}`);
  await Promise.all(attempts.map(({ over }) => over));
  const served: Socket[] = [];
  provider.script = (socket) => {
    served.push(socket);
    socket.write(ANSWER);
  };
  // The older one, at the bottom of the list, may stay for longer.
  strictEqual(leftAfter(origin, 5_000), 2);
  deepStrictEqual((await ask(origin)).events, GOOD);
  deepStrictEqual([served, origin.connections], [[answers[0]], 1]);
});

test("a 204 or 304 with a length keeps its connection", async () => {
  const origin = opened();
  for (const status of ["204 No Content", "304 Not Modified"]) {
    provider.script = (socket) => socket.write(`HTTP/1.1 ${status}\r\ncontent-length: 20\r\n\r\n`);
    await ask(origin);
    provider.script = (socket) => socket.write(ANSWER);
    deepStrictEqual((await ask(origin)).events, GOOD);
    strictEqual(origin.connections, 1);
  }
});

/** A host whose answers the test gives; a sweep brings each. */
class Host {
  texts: readonly string[] = ["127.0.0.1"];
  asked = 0;
  #atMs = 0;
  readonly addresses = new Addresses(
    "api.test",
    (_host, done) => {
      this.asked += 1;
      const found = this.texts.map((address) => ({ address, family: 4 }));
      done(null, found);
    },
    () => this.#atMs,
  );

  refresh(origin: Origin, times: number): void {
    for (let i = 0; i < times; i += 1) {
      this.#atMs += ADDRESS_REFRESH_MS;
      origin.sweep(performance.now());
    }
  }
}

test("free connections to an address that is gone are closed, the others after their request", async () => {
  const host = new Host();
  const origin = opened({ addresses: host.addresses }, "api.test");
  const answers: Socket[] = [];
  provider.script = (socket) => answers.push(socket);
  const [first, second] = [begun(origin).heard, begun(origin).heard];
  await until("both arrived", () => answers.length === 2);
  answers[0]?.write(ANSWER);
  await Promise.race([first.over, second.over]);
  host.refresh(origin, 1);
  host.texts = ["127.0.0.2"];
  host.refresh(origin, ADDRESS_MISSES_MAX - 1);
  strictEqual(origin.connections, 2);
  host.refresh(origin, 1);
  strictEqual(origin.connections, 1);
  answers[1]?.write(ANSWER);
  await Promise.all([first.over, second.over]);
  deepStrictEqual([first.events, second.events, origin.connections], [GOOD, GOOD, 0]);
});

test("connections to an address that is still there stay, and nobody is asked for without connections", async () => {
  const host = new Host();
  const origin = opened({ addresses: host.addresses }, "api.test");
  provider.script = (socket) => socket.write(ANSWER);
  await ask(origin);
  host.texts = ["127.0.0.1", "127.0.0.2"];
  host.refresh(origin, 2 * ADDRESS_MISSES_MAX);
  strictEqual(origin.connections, 1);
  origin.sweep(performance.now() + 60_000);
  strictEqual(origin.connections, 0);
  const { asked } = host;
  host.refresh(origin, ADDRESS_MISSES_MAX);
  deepStrictEqual([host.asked, asked > ADDRESS_MISSES_MAX], [asked, true]);
});
