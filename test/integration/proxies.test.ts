/**
 * examples/nginx.conf and examples/haproxy.cfg, with the real programs where they are installed; a machine without them
 * checks what can be said of the text.
 */
import { match, notStrictEqual, strictEqual } from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { ConnectionOptions } from "node:tls";
import { freePort } from "../../native-bench/contestants/free-port.ts";
import { findProgram, Installed } from "../support/installed.ts";
import { bigBytes, sha256Of } from "../support/mock/big-body.ts";
import { ROOT } from "../support/program.ts";
import { RawClient } from "../support/raw-client.ts";
import { requestBytes, STREAM_BODY } from "../support/raw-request.ts";
import { headerOf, type RawResponse } from "../support/raw-response.ts";
import type { Sluice } from "../support/sluice.ts";
import { startStage } from "../support/stage.ts";
import { until } from "../support/until.ts";
import { TEST_CA } from "../support/upstream.ts";

const FIXTURES = `${ROOT}test/fixtures/tls/`;
const directory = mkdtempSync(join(tmpdir(), "sluice-proxies-"));
after(() => rmSync(directory, { recursive: true }));

const plain = await freePort();
const announced = await freePort();
const socket = join(directory, "sluice.sock");
const { sluice, upstream } = await startStage(() => ({
  listen: [
    `127.0.0.1:${plain}`,
    { address: `127.0.0.1:${announced}`, proxy_protocol: { trusted: ["127.0.0.1"] } },
    { address: `unix:${socket}`, mode: "0666" },
  ],
}));

/** An address of this machine that is not the proxy's. */
const CLIENT = "127.0.0.5";
const TLS: ConnectionOptions & { localAddress: string } = { ca: TEST_CA, localAddress: CLIENT };

type Changes = readonly (readonly [text: string, other: string])[];

/** The example with what a test must change: all of it has to be there. */
function changed(name: string, changes: Changes): string {
  let text = readFileSync(`${ROOT}examples/${name}`, "utf8");
  for (const [from, to] of changes) {
    strictEqual(text.includes(from), true, `${name} has no ${from}`);
    text = text.replaceAll(from, to);
  }
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

async function started(program: Installed, port: number): Promise<Installed> {
  await until("the proxy listens", async () => {
    if (program.hasEnded) throw new Error(program.output);
    return RawClient.connect(port).then(
      (client) => {
        client.leave();
        return true;
      },
      () => false,
    );
  });
  return program;
}

async function startNginx(path: string, port: number, server: string): Promise<Installed> {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  const paths = temporary.map((name) => `${name}_temp_path ${directory}/${name};`).join(" ");
  const config = changed("nginx.conf", [
    ["server 127.0.0.1:8081;", `server ${server};`],
    ["listen 8443 ssl", `listen 127.0.0.1:${port} ssl`],
    ["/etc/ssl/sluice/cert.pem", `${FIXTURES}test-only-server.pem`],
    ["/etc/ssl/sluice/key.pem", `${FIXTURES}test-only-server.key.pem`],
    ["/var/log/nginx/sluice.log", `${directory}/nginx.log`],
    ["http {", `http { ${paths}`],
    ["worker_processes auto;", "worker_processes 1;"],
    ["worker_rlimit_nofile 65536;", ""],
    ["worker_connections 16384;", "worker_connections 256;"],
  ]);
  // Its workers would be another user, who may not enter our directory.
  const user = process.getuid?.() === 0 ? "user root;" : "";
  const globals = `daemon off; ${user} pid ${directory}/nginx.pid; error_log stderr notice;`;
  return started(new Installed(path, ["-e", "stderr", "-c", config, "-p", directory, "-g", globals]), port);
}

async function startHaproxy(path: string, port: number): Promise<Installed> {
  const both = join(directory, "both.pem");
  writeFileSync(
    both,
    readFileSync(`${FIXTURES}test-only-server.pem`, "utf8") +
      readFileSync(`${FIXTURES}test-only-server.key.pem`, "utf8"),
  );
  const config = changed("haproxy.cfg", [
    ["127.0.0.1:8082 send-proxy-v2", `127.0.0.1:${announced} send-proxy-v2`],
    ["check port 8080", `check port ${new URL(sluice.adminUrl).port}`],
    ["bind 0.0.0.0:8443", `bind 127.0.0.1:${port}`],
    ["/etc/ssl/sluice/both.pem", both],
    ["maxconn 16384", "maxconn 256"],
  ]);
  return started(new Installed(path, ["-db", "-f", config]), port);
}

async function keepsAlive(port: number): Promise<RawResponse> {
  const client = await RawClient.connectTls(port, TLS);
  for (let i = 0; i < 20; i += 1) strictEqual((await client.ask(requestBytes())).status, 200);
  const last = await client.ask(requestBytes());
  client.leave();
  return last;
}

async function streamsAtOnce(port: number, gate: string): Promise<void> {
  const client = await RawClient.connectTls(port, TLS);
  await client.send(requestBytes({ body: STREAM_BODY, headers: { "x-mock": `hold=${gate}` } }));
  await client.sees("data: ");
  await upstream.open(gate);
  match((await client.response())?.body.toString() ?? "", /data: \[DONE\]\n\n$/);
  client.leave();
}

async function passesLargeBodies(port: number): Promise<void> {
  const client = await RawClient.connectTls(port, TLS);
  const body = randomBytes(8_000_000);
  const headers = { "content-type": "application/octet-stream" };
  strictEqual((await client.ask(requestBytes({ target: "/v1/uploads/u/parts", headers, body }))).status, 200);
  strictEqual((await upstream.lastRequest()).bodySha256, createHash("sha256").update(body).digest("hex"));
  const wish = { "x-mock": "big-body=10" };
  const target = "/v1/files/file-1/content";
  const answer = await client.ask(requestBytes({ method: "GET", target, headers: wish, body: "" }));
  strictEqual(createHash("sha256").update(answer.body).digest("hex"), sha256Of(bigBytes(10)));
  client.leave();
}

async function passesAnAbort(port: number): Promise<void> {
  const client = await RawClient.connectTls(port, TLS);
  await client.send(requestBytes({ body: STREAM_BODY, headers: { "x-mock": "hold=never" } }));
  await client.sees("data: ");
  client.leave();
  await upstream.waitFor("the upstream sees the abort", ({ requests }) => requests.at(-1)?.state === "aborted");
}

async function worksBehind(port: number, name: string): Promise<RawResponse> {
  const last = await keepsAlive(port);
  await streamsAtOnce(port, `stream-${name}`);
  await passesLargeBodies(port);
  await passesAnAbort(port);
  return last;
}

async function addressOf(gateway: Sluice, response: RawResponse): Promise<string> {
  const id = headerOf(response, "x-request-id") ?? "";
  const line = await until("the line is in the access log", async () =>
    (await gateway.accessLogText()).split("\n").find((text) => text.includes(id)),
  );
  return JSON.parse(line).client_address;
}

test("behind nginx: keep-alive, streams, large bodies, aborts, and one request id in both logs", async () => {
  const nginx = findProgram("nginx");
  if (nginx === null) return checkNginxText();
  const port = await freePort();
  const program = await startNginx(nginx, port, `127.0.0.1:${plain}`);
  const response = await worksBehind(port, "nginx");
  strictEqual(await addressOf(sluice, response), "127.0.0.1");
  match(
    readFileSync(`${directory}/nginx.log`, "utf8"),
    new RegExp(`^${CLIENT} .* ${headerOf(response, "x-request-id")}$`, "m"),
  );
  await program.stop();
});

test("behind nginx over the unix socket", async () => {
  const nginx = findProgram("nginx");
  if (nginx === null) return checkNginxText();
  const port = await freePort();
  const program = await startNginx(nginx, port, `unix:${socket}`);
  const response = await worksBehind(port, "socket");
  strictEqual(await addressOf(sluice, response), "");
  await program.stop();
});

test("behind HAProxy: the same, with the client's address by the PROXY protocol", async () => {
  const haproxy = findProgram("haproxy");
  if (haproxy === null) return checkHaproxyText();
  const port = await freePort();
  const program = await startHaproxy(haproxy, port);
  const response = await worksBehind(port, "haproxy");
  strictEqual(await addressOf(sluice, response), CLIENT);
  await program.stop();
});

/** The status of a request on a connection of its own; 0: none. */
async function statusAt(port: number): Promise<number> {
  const client = await RawClient.connectTls(port, TLS);
  await client.send(requestBytes());
  const response = await client.response();
  client.leave();
  return response?.status ?? 0;
}

test("HAProxy notices that the gateway stops, and that it is back", async () => {
  const haproxy = findProgram("haproxy");
  if (haproxy === null) return checkHaproxyText();
  const port = await freePort();
  const program = await startHaproxy(haproxy, port);
  strictEqual(await statusAt(port), 200);
  sluice.signal("SIGTERM");
  strictEqual(await sluice.end(), 0);
  await until(
    "HAProxy says that nobody serves",
    async () => (await statusAt(port)) === 503 && program.output.includes("is DOWN"),
  );
  await sluice.launch();
  await until("HAProxy sends requests again", async () => (await statusAt(port)) === 200);
  await program.stop();
});

/** Directives without comments. */
function directives(name: string): readonly string[] {
  const lines = readFileSync(`${ROOT}examples/${name}`, "utf8").split("\n");
  return lines.map((line) => line.replace(/(^|\s)#.*$/, "").trim()).filter((line) => line !== "");
}

const README = readFileSync(`${ROOT}README.md`, "utf8");

for (const [name, fence] of [
  ["nginx.conf", "nginx"],
  ["haproxy.cfg", "haproxy"],
] as const) {
  test(`what the README shows of ${name} is in it`, () => {
    const [, shown = ""] = new RegExp(`\`\`\`${fence}\\n([^\`]+)\`\`\``).exec(README) ?? [];
    notStrictEqual(shown, "");
    const known = directives(name);
    const lines = shown.split("\n").map((line) => line.replace(/(^|\s)#.*$/, "").trim());
    for (const line of lines.filter((text) => text !== "")) strictEqual(known.includes(line), true, line);
    strictEqual(README.includes(`examples/${name}`), true);
  });
}

/** What can be said of the examples without the programs. */
function checkNginxText(): void {
  const known = directives("nginx.conf");
  const needed = ["proxy_http_version 1.1;", 'proxy_set_header Connection "";', "proxy_buffering off;"];
  for (const line of needed) strictEqual(known.includes(line), true, line);
  const text = known.join("\n");
  strictEqual(text.split("{").length, text.split("}").length);
}

function checkHaproxyText(): void {
  const text = directives("haproxy.cfg").join("\n");
  match(text, /^http-check send .* ver HTTP\/1\.1 hdr Host /m);
  match(text, /^server sluice \S+ send-proxy-v2 check port 8080\b/m);
  match(text, /^mode http$/m);
}

test("nginx.conf speaks HTTP/1.1 with open connections and does not hold streams back", checkNginxText);
test("haproxy.cfg checks with HTTP/1.1 and says who the client is", checkHaproxyText);
