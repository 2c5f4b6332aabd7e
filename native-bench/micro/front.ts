/**
 * What a front costs a gateway worker: CPU time of its process per event of a stream and per request, at a listener with TLS,
 * at one with the PROXY protocol, and at a plain one. One Sluice, one worker, the listeners in turns. Provider and clients
 * are in this process. Streams have an event every 10 ms, each at a moment of its own, as providers send them.
 * `--smoke`: a short run.
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { fileURLToPath } from "node:url";
import { Child } from "../contestants/child.ts";
import { freePort } from "../contestants/free-port.ts";
import { report, SMOKE } from "./contest.ts";

const ROUNDS = SMOKE ? 1 : 5;
const WINDOW_MS = SMOKE ? 300 : 1_500;
const WARM_MS = SMOKE ? 50 : 500;
const STREAMS = SMOKE ? 10 : 100;
const CALLERS = 16;
const READY_MS_MAX = 20_000;
/** Streams are told in so many groups, one after the other. */
const GROUPS = 10;
const FIXTURES = fileURLToPath(new URL("../../test/fixtures/tls/test-only-", import.meta.url));
const PROGRAM = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const KEY = `sk-sluice-${randomBytes(24).toString("base64url")}`;
const EVENT = `data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", choices: [{ index: 0, delta: { content: "token " } }] })}\n\n`;
const ANSWER = JSON.stringify({
  id: "c",
  object: "chat.completion",
  choices: [],
  usage: { prompt_tokens: 9, completion_tokens: 1, total_tokens: 10 },
});

type Open = () => Socket;

interface Entry {
  readonly name: string;
  readonly open: Open;
  readonly rounds: number[];
}

const streams = new Set<ServerResponse>();
let turn = 0;

function tellStreams(): void {
  turn = (turn + 1) % GROUPS;
  let index = 0;
  for (const stream of streams) {
    if (index % GROUPS === turn) stream.write(EVENT);
    index += 1;
  }
}

const provider = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    if (!Buffer.concat(chunks).includes('"stream":true')) {
      response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(ANSWER) });
      response.end(ANSWER);
      return;
    }
    response.writeHead(200, { "content-type": "text/event-stream" });
    streams.add(response);
    response.on("close", () => streams.delete(response));
  });
});

function requestOf(stream: boolean): string {
  const body = JSON.stringify({ model: "m", stream, messages: [{ role: "user", content: "Hello" }] });
  return `POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${KEY}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

/** Nanoseconds that all threads of a process have run (proc(5), schedstat). */
function cpuNs(pid: number): number {
  const tasks = readdirSync(`/proc/${pid}/task`);
  const times = tasks.map((task) =>
    Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, "latin1").split(" ")[0]),
  );
  return times.reduce((sum, ns) => sum + ns, 0);
}

function workerOf(pid: number): number {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1").trim().split(" ").map(Number);
  const worker = children.find((child) => readFileSync(`/proc/${child}/cmdline`, "latin1").includes("gateway/worker"));
  if (worker === undefined) throw new Error("there is no worker");
  return worker;
}

/** CPU time of the worker per `count`, while everything is warm. */
async function measure(worker: number, count: () => number): Promise<number> {
  await delay(WARM_MS);
  const [beginNs, begin] = [cpuNs(worker), count()];
  await delay(WINDOW_MS);
  return (cpuNs(worker) - beginNs) / (count() - begin);
}

async function playStreams({ open, rounds }: Entry, worker: number): Promise<void> {
  let bytes = 0;
  const clients = Array.from({ length: STREAMS }, () => {
    const client = open();
    client.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
    });
    client.write(requestOf(true));
    return client;
  });
  while (streams.size < STREAMS) await delay(1);
  // An event comes as a chunk: its length in hexadecimal, and two line breaks.
  const onWire = EVENT.length + EVENT.length.toString(16).length + 4;
  rounds.push(await measure(worker, () => bytes / onWire));
  for (const client of clients) client.destroy();
  while (streams.size > 0) await delay(1);
}

/** The next request as soon as the answer is there, which is one piece. */
async function playRequests({ open, rounds }: Entry, worker: number): Promise<void> {
  let answers = 0;
  const request = requestOf(false);
  const clients = Array.from({ length: CALLERS }, () => {
    const client = open();
    let tail = "";
    client.on("data", (chunk: Buffer) => {
      tail = (tail + chunk.toString("latin1")).slice(-ANSWER.length);
      if (tail !== ANSWER) return;
      tail = "";
      answers += 1;
      client.write(request);
    });
    client.write(request);
    return client;
  });
  rounds.push(await measure(worker, () => answers));
  for (const client of clients) client.destroy();
}

/** Starts it; the listeners are a plain one, one for proxies and one with TLS. */
async function start(directory: string, ports: readonly number[], adminPort: number): Promise<Child> {
  const [plain, proxied, secured] = ports.map((port) => `127.0.0.1:${port}`);
  const { port } = provider.address() as AddressInfo;
  const config = {
    listen: [
      plain,
      { address: proxied, proxy_protocol: { trusted: ["127.0.0.1"] } },
      { address: secured, tls: { cert_file: `${FIXTURES}server.pem`, key_file: `${FIXTURES}server.key.pem` } },
    ],
    admin: { listen: `127.0.0.1:${adminPort}` },
    workers: 1,
    data_dir: join(directory, "data"),
    providers: { here: { base_url: `http://127.0.0.1:${port}/v1`, usage_option: "false" } },
    models: { m: { provider: "here" } },
    keys: [{ name: "k", hash: `sha256:${createHash("sha256").update(KEY).digest("hex")}` }],
  };
  const file = join(directory, "sluice.yaml");
  writeFileSync(file, JSON.stringify(config));
  const child = new Child(process.execPath, ["--disable-warning=ExperimentalWarning", PROGRAM, "serve", "-c", file]);
  const ready = async () =>
    (await fetch(`http://127.0.0.1:${adminPort}/health/ready`).catch(() => null))?.status === 200;
  await child.until(ready, READY_MS_MAX);
  return child;
}

/** Ways to connect, by name. */
function waysTo([plain = 0, proxied = 0, secured = 0]: readonly number[]): Record<string, Open> {
  const host = "127.0.0.1";
  const to = (port: number) => connect({ port, host, noDelay: true });
  return {
    plain: () => to(plain),
    "PROXY header": () => {
      const socket = to(proxied);
      socket.write("PROXY TCP4 192.0.2.7 127.0.0.1 40000 8081\r\n");
      return socket;
    },
    TLS: () =>
      connectTls({
        port: secured,
        host,
        ca: readFileSync(`${FIXTURES}ca.pem`),
        servername: "localhost",
      }),
  };
}

const directory = mkdtempSync(join(tmpdir(), "sluice-front-"));
await new Promise<void>((resolve) => provider.listen(0, "127.0.0.1", resolve));
const ports = [await freePort(), await freePort(), await freePort()];
const sluice = await start(directory, ports, await freePort());
const teller = setInterval(tellStreams, 1);
try {
  const worker = workerOf(sluice.pid);
  for (const [what, play] of [
    ["event of a stream", playStreams],
    ["request", playRequests],
  ] as const) {
    const entries = Object.entries(waysTo(ports)).map(([name, open]): Entry => ({ name, open, rounds: [] }));
    for (let round = 0; round < ROUNDS; round += 1) for (const entry of entries) await play(entry, worker);
    report(`worker, per ${what}`, "plain", entries);
  }
} finally {
  clearInterval(teller);
  await sluice.end("SIGTERM");
  provider.close();
  rmSync(directory, { recursive: true });
}
