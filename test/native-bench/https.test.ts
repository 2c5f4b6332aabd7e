/** Providers with TLS in the benchmark: the mock has it, contestants use it and check its certificate, and others are left out. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, test } from "node:test";
import { TLSSocket } from "node:tls";
import { fileURLToPath } from "node:url";
import type { Contestant, SecureMock } from "../../native-bench/contestant.ts";
import { Direct } from "../../native-bench/contestants/direct.ts";
import { Nginx } from "../../native-bench/contestants/nginx.ts";
import { Sluice } from "../../native-bench/contestants/sluice.ts";
import { Mock } from "../../native-bench/runner/mock.ts";
import { ask, difference } from "../../native-bench/runner/probe.ts";
import { bodyOf } from "../../native-bench/runner/request-file.ts";
import { allScenarios, parseScenario } from "../../native-bench/runner/scenario.ts";
import { endpointIn } from "../../native-bench/runner/specification.ts";
import { DEADLINE_MS } from "../support/until.ts";
import { buildPrograms, runProgram } from "./programs.ts";

const OTHER_CA = fileURLToPath(new URL("../fixtures/tls/test-only-second-ca.pem", import.meta.url));
const HTTPS = parseScenario("s", "title: s\nupstream: https\nmode: { kind: closed, connections: 1 }");
const MODEL = { weight: 1, bodyBytes: 300, stream: false };
const contestants: readonly (() => Contestant)[] = [
  () => new Sluice(),
  ...(Nginx.missing() === null ? [() => new Nginx()] : []),
];

let directory = "";
let secureMock: SecureMock;
const mock = new Mock(null);

before(async () => {
  directory = mkdtempSync(join(tmpdir(), "sluice-https-"));
  await buildPrograms();
  const reserved = await mock.reserve([HTTPS]);
  assert.ok(reserved !== undefined);
  secureMock = reserved;
  await mock.restart(HTTPS);
});

after(async () => {
  await mock.stop();
  rmSync(directory, { recursive: true });
});

async function post(body: Buffer): Promise<{ protocol: string | null; answer: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ protocol: string | null; answer: string }>();
  const where = { host: "127.0.0.1", port: secureMock.port, path: "/v1/chat/completions", method: "POST" };
  const trusted = { ca: readFileSync(secureMock.caFile), agent: false, signal: AbortSignal.timeout(DEADLINE_MS) };
  const asking = request({ ...where, ...trusted }, (response) => {
    const protocol = response.socket instanceof TLSSocket ? response.socket.getProtocol() : null;
    text(response).then((answer) => resolve({ protocol, answer }), reject);
  });
  asking.once("error", reject).end(body);
  return promise;
}

test("the mock says over TLS what it says without, to small and large requests, whole and as a stream", async () => {
  const { endpoint } = new Direct(mock);
  for (const kind of [MODEL, { ...MODEL, bodyBytes: 1_048_576 }, { ...MODEL, stream: true }]) {
    const body = bodyOf("gpt-4o", kind);
    const plain = await ask(endpoint, body, AbortSignal.timeout(DEADLINE_MS));
    const { protocol, answer } = await post(body);
    assert.equal(protocol, "TLSv1.3");
    assert.equal(answer, plain.body);
  }
});

test("the mock without Node has no TLS, and says so", async () => {
  const { code, stderr } = await runProgram("mock", ["--tls-port", "1", "--cert-file", "c", "--key-file", "k"]);
  assert.equal(code, 2);
  assert.match(stderr, /--tls-port: this mock has no TLS/);
  assert.match((await runProgram("mock", ["--tls-port", "1"])).stderr, /needs --cert-file and --key-file/);
});

/** The status of an answer by way of the provider with TLS, of a contestant that trusts this authority. */
async function throughTls(contestant: Contestant, caFile: string): Promise<number> {
  const own = mkdtempSync(join(directory, `${contestant.name}-`));
  try {
    await contestant.start({
      directory: own,
      mockPort: mock.port,
      secureMock: { ...secureMock, caFile },
      workers: 1,
    });
    const endpoint = endpointIn(HTTPS, contestant);
    assert.ok(endpoint !== null);
    const body = bodyOf(endpoint.model, MODEL);
    const signal = AbortSignal.timeout(DEADLINE_MS);
    const answer = await ask(endpoint, body, signal);
    if (answer.status === 200)
      assert.equal(difference(await ask(new Direct(mock).endpoint, body, signal), answer), null);
    return answer.status;
  } finally {
    await contestant.stop();
  }
}

for (const make of contestants) {
  test(`${make().name} reaches the provider over TLS, and checks its certificate`, async () => {
    assert.equal(await throughTls(make(), secureMock.caFile), 200);
    assert.equal(await throughTls(make(), OTHER_CA), 502);
  });
}

test("who is not set up for TLS has no part in such a scenario, and in all others", async () => {
  const plain = parseScenario("s", "title: s\nmode: { kind: closed, connections: 1 }");
  const other: Contestant = { ...(new Direct(mock) as Contestant), name: "other", endpoint: new Direct(mock).endpoint };
  assert.equal(endpointIn(HTTPS, other), null);
  assert.equal(endpointIn(plain, other), other.endpoint);
});

test("without a scenario that wants it, nothing is set up for TLS", async () => {
  const plain = allScenarios().filter(({ upstream }) => upstream === "http");
  assert.equal(await new Mock(null).reserve(plain), undefined);
  assert.ok(plain.length > 0 && plain.length < allScenarios().length);
  assert.equal(new Sluice().secureEndpoint, null);
});
