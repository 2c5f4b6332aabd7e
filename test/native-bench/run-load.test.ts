/** The load generator as the runner runs it: what it is told meanwhile. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type LoadSpec, runLoad } from "../../native-bench/runner/load.ts";
import { DEADLINE_MS, until } from "../support/until.ts";
import { buildPrograms, request, specification } from "./programs.ts";

const CONNECTIONS = 3;
/** Far beyond what the test waits for. */
const HOLD_MS = 10 * DEADLINE_MS;

let directory = "";
let connected = 0;
let server: Server;

before(async () => {
  directory = mkdtempSync(join(tmpdir(), "sluice-run-load-"));
  await buildPrograms();
  server = createServer((asked, response) => asked.resume().once("end", () => response.end("{}")));
  server.on("connection", (socket) => {
    connected += 1;
    socket.once("close", () => {
      connected -= 1;
    });
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
});

after(() => {
  server.close();
  rmSync(directory, { recursive: true });
});

test("all clients are connected while the load is held, and none when it has ended", async () => {
  const { port } = server.address() as AddressInfo;
  const mode = { kind: "closed", connections: CONNECTIONS };
  const spec = specification(port, { mode, requests: [request()], holdMs: HOLD_MS }) as unknown as LoadSpec;
  const site = { directory, cpus: null, signal: AbortSignal.timeout(DEADLINE_MS) };
  const seen: string[] = [];
  const { summary } = await runLoad(spec, site, {
    onWindow: () => void seen.push("window"),
    whileHeld: () => void seen.push(`${connected} connected`),
  });
  assert.deepEqual(seen, ["window", `${CONNECTIONS} connected`]);
  assert.ok(summary.right > 0);
  await until("they are gone", () => connected === 0);
});
