/** Restarts with listeners of other kinds: a unix socket keeps its file and its queue, and TLS goes on. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { request as ask, type IncomingMessage, type RequestOptions } from "node:http";
import { request as askTls } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { freePort } from "../../native-bench/contestants/free-port.ts";
import { standardConfig } from "../support/config.ts";
import { Sluice } from "../support/sluice.ts";
import { until } from "../support/until.ts";
import { TEST_CA, Upstream } from "../support/upstream.ts";

const FIXTURES = new URL("../fixtures/tls/", import.meta.url).pathname;
const directory = mkdtempSync(join(tmpdir(), "sluice-restart-"));
after(() => rmSync(directory, { recursive: true }));
const upstream = await Upstream.start();
after(() => upstream.stop());

const body = '{"model":"gpt-4o","messages":[]}';

/** "200", or what went wrong. A connection of its own. */
function statusOf(
  send: typeof ask,
  sluice: Sluice,
  options: RequestOptions & { readonly ca?: string },
): Promise<string> {
  const headers = { authorization: `Bearer ${sluice.key}`, "content-type": "application/json" };
  return new Promise((resolve) => {
    const common = { method: "POST", path: "/v1/chat/completions", headers, agent: false as const };
    const asked = send({ ...common, ...options }, (answer: IncomingMessage) => {
      answer.resume().on("end", () => resolve(String(answer.statusCode)));
      answer.on("error", (error) => resolve(error.message));
    });
    asked.on("error", (error) => resolve(error.message));
    asked.end(body);
  });
}

test("clients of a unix socket and of TLS notice no restart, and an abandoned socket goes", async () => {
  const path = join(directory, "a.sock");
  const port = await freePort();
  const tls = { cert_file: `${FIXTURES}test-only-server.pem`, key_file: `${FIXTURES}test-only-server.key.pem` };
  const plain = await freePort();
  const listen = [`127.0.0.1:${plain}`, `unix:${path}`, { address: `127.0.0.1:${port}`, tls }];
  const sluice = await Sluice.start(upstream, { workers: 2, listen });
  const { ino } = statSync(path);
  const state = { stopped: false };
  const statuses: string[] = [];
  const askOn = async (send: typeof ask, options: RequestOptions & { readonly ca?: string }) => {
    while (!state.stopped) statuses.push(await statusOf(send, sluice, options));
  };
  const clients = [askOn(ask, { socketPath: path }), askOn(askTls, { host: "127.0.0.1", port, ca: TEST_CA })];
  await until("there are answers", () => statuses.length > 10);
  for (let i = 0; i < 2; i += 1) {
    const { code, text } = await sluice.command("restart");
    strictEqual(code, 0, text + sluice.log);
  }
  strictEqual(statSync(path).ino, ino);
  state.stopped = true;
  await Promise.all(clients);
  deepStrictEqual([...new Set(statuses)], ["200"]);
  ok(statuses.length > 20);
  await sluice.configure({ ...standardConfig(upstream), listen: [`127.0.0.1:${plain}`] });
  strictEqual((await sluice.command("restart")).code, 0);
  strictEqual(existsSync(path), false);
  await sluice.stop();
});
