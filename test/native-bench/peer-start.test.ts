/** How a peer's program is started, found ready and ended, with programs made here, in front of a provider made here. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { Agent, createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { json, text } from "node:stream/consumers";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Setting } from "../../native-bench/contestant.ts";
import { freePort } from "../../native-bench/contestants/free-port.ts";
import { CHAT_PATH, Peer } from "../../native-bench/peers/peer.ts";
import { RunningProgram } from "../../native-bench/peers/program.ts";
import { DEADLINE_MS, until } from "../support/until.ts";

const LAUNCHER = fileURLToPath(new URL("../../native-bench/peers/portkey-server.ts", import.meta.url));

let provider: Server;

before(async () => {
  provider = createServer(async (asked, response) => {
    const { stream } = (await json(asked)) as { stream?: boolean };
    if (stream !== true) return response.end('{"choices":[{"message":{"content":"hello"}}]}');
    response.setHeader("content-type", "text/event-stream");
    return response.end('data: {"choices":[{"delta":{"content":"hello"}}]}\n\ndata: [DONE]\n\n');
  }).listen(0, "127.0.0.1");
  await once(provider, "listening");
});

after(() => void provider.close());

function setting(): Setting {
  const directory = mkdtempSync(join(tmpdir(), "sluice-peer-"));
  return { directory, mockPort: (provider.address() as AddressInfo).port, workers: 2 };
}

/** A Node program that serves with `handle`, a function of request and response as source text. */
function peer(handle: string, more = ""): Peer {
  const prepare = ({ directory, mockPort }: Setting, port: number) => {
    const script = join(directory, "peer.cjs");
    const serve = `require("node:http").createServer(${handle}).listen(${port}, "127.0.0.1");`;
    writeFileSync(
      script,
      `const { spawn } = require("node:child_process"); const mockPort = ${mockPort};\n${more}\n${serve}`,
    );
    const program = { command: process.execPath, args: [script], environment: { OWN: "own" } };
    return { program, endpoint: { port, path: CHAT_PATH, headers: [], model: "m" } };
  };
  return new Peer({ name: "made-here", versions: { "made-here": "1" }, readyDeadlineMs: DEADLINE_MS, prepare });
}

const FORWARD = `(asked, response) => {
  const { method, url: path, headers } = asked;
  const options = { host: "127.0.0.1", port: mockPort, method, path, headers };
  asked.pipe(require("node:http").request(options, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  }));
}`;
const SPAWN_BELOW = `
  const below = spawn("sleep", ["1000"]);
  require("node:fs").writeFileSync("below", String(below.pid));
  process.on("SIGTERM", () => process.exit());`;

function isAlive(pid: number): boolean {
  return existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
}

test("a peer is up when it says what the provider says, and ends with all below it", async () => {
  const [made, given] = [peer(FORWARD, SPAWN_BELOW), setting()];
  await made.start(given);
  const [pid = 0] = made.pids();
  const below = Number(readFileSync(join(given.directory, "below"), "utf8"));
  assert.ok(isAlive(pid) && isAlive(below));
  assert.match(readFileSync(`/proc/${pid}/cmdline`, "utf8"), /peer\.cjs/);
  assert.deepEqual(made.versions(), { "made-here": "1" });
  await made.stop();
  assert.deepEqual(made.pids(), []);
  await until("both are gone", () => !isAlive(pid) && !isAlive(below));
});

test("a peer gets nothing of the user's environment but PATH", async () => {
  process.env["SLUICE_SECRET_OF_USER"] = "secret";
  const [made, given] = [
    peer(FORWARD, 'require("node:fs").writeFileSync("env", JSON.stringify(process.env));'),
    setting(),
  ];
  await made.start(given);
  delete process.env["SLUICE_SECRET_OF_USER"];
  const seen = JSON.parse(readFileSync(join(given.directory, "env"), "utf8"));
  await made.stop();
  assert.deepEqual(seen, { PATH: process.env["PATH"], HOME: given.directory, LANG: "C.UTF-8", OWN: "own" });
});

/** One that ends after its first answer, so that nobody waits for a better one. */
function answering(status: number, body: string): Peer {
  return peer(`(asked, response) => {
    response.once("close", () => process.exit());
    response.writeHead(${status}, { connection: "close" }).end(${JSON.stringify(body)});
  }`);
}

test("a peer that answers something else is unavailable, with what it said", async () => {
  const other = answering(200, '{"choices":[{"message":{"content":"bye"}}]}');
  await assert.rejects(other.start(setting()), { name: "Unavailable", reason: /answers other content: .*bye/ });
  assert.deepEqual(other.pids(), []);
  const failing = answering(500, "overload");
  await assert.rejects(failing.start(setting()), { reason: /answers 500: overload/ });
});

test("a peer that ends at once is unavailable, with what it said", async () => {
  const broken = peer(FORWARD, 'throw new Error("no such setting");');
  await assert.rejects(broken.start(setting()), { name: "Unavailable", reason: /no such setting/ });
});

test("a peer that cannot stream is up, and says so", async (context) => {
  const said = context.mock.method(process.stderr, "write", () => true);
  const made = peer(`(asked, response) => {
    let body = "";
    asked.on("data", (part) => { body += part; }).on("end", () => {
      if (body.includes('"stream":true')) response.writeHead(500).end("immutable");
      else response.end('{"choices":[{"message":{"content":"hello"}}]}');
    });
  }`);
  await made.start(setting());
  await made.stop();
  const lines = said.mock.calls.map(({ arguments: [line] }) => String(line));
  said.mock.restore();
  assert.deepEqual(lines.filter((line) => line.startsWith("made-here: no streams: answers 500: immutable")).length, 1);
});

/** In the place of Portkey's program: says who answers, and listens as that one does. */
const SERVER = `import { createServer } from "node:http";
const port = Number(process.argv.find((each) => each.startsWith("--port=")).slice(7));
const said = JSON.stringify({ pid: process.pid, arguments: process.argv.slice(2) });
const server = createServer((asked, response) => response.end(said));
server.listen(port, undefined, () => console.log(JSON.stringify(server.address())));
`;

interface Said {
  readonly pid: number;
  readonly arguments: readonly string[];
}

async function ask(port: number): Promise<Said> {
  const asking = request({ port, host: "127.0.0.1", agent: new Agent({ keepAlive: false }) }).end();
  const [response] = await once(asking, "response");
  return JSON.parse(await text(response));
}

for (const workers of [1, 2]) {
  test(`Portkey's launcher serves with ${workers} of ${workers} processes, on loopback, and ends`, async () => {
    const { directory } = setting();
    const [server, port] = [join(directory, "server.mjs"), await freePort()];
    writeFileSync(server, SERVER);
    const args = [
      "--disable-warning=ExperimentalWarning",
      LAUNCHER,
      server,
      `${workers}`,
      `--port=${port}`,
      "--headless",
    ];
    const running = new RunningProgram(directory, { command: process.execPath, args, environment: {} });
    const seen = new Set<number>();
    await running.until(async () => {
      const said = await ask(port).catch(() => null);
      if (said !== null) assert.deepEqual(said.arguments, [`--port=${port}`, "--headless"]);
      return said !== null && seen.add(said.pid).size === workers;
    }, DEADLINE_MS);
    assert.deepEqual(addressesOf(port), ["0100007F"]);
    await running.end();
    await until("they are gone", () => ![running.pid, ...seen].some(isAlive));
  });
}

/** Addresses that are listened on at this port, as the kernel lists them: those of IPv6 are longer. */
function addressesOf(port: number): string[] {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const rows = ["tcp", "tcp6"].flatMap((table) => readFileSync(`/proc/net/${table}`, "utf8").split("\n"));
  const listening = rows.map((row) => row.trim().split(/\s+/)).filter(([, , , state]) => state === "0A");
  return listening
    .map(([, local = ""]) => local)
    .filter((local) => local.endsWith(suffix))
    .map((local) => local.split(":")[0] ?? "");
}
