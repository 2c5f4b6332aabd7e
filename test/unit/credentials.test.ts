/** Several credentials of one provider: which is sent, what a refused or limited one leads to, and when it is back. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import type { Socket } from "node:net";
import { after, beforeEach, test } from "node:test";
import type { Rotation } from "../../src/config/snapshot.ts";
import {
  acceptCredential,
  CREDENTIAL_LIMITED,
  CREDENTIAL_REFUSED,
  restCredential,
  rotateCredential,
  takeCredential,
} from "../../src/pipeline/credential.ts";
import { restMs } from "../../src/shm/breakers.ts";
import { KIND_HEDGE, KIND_REQUEST } from "../../src/telemetry/record.ts";
import { exchangeOf, snapshotOf } from "../support/exchange.ts";
import { RawClient } from "../support/raw-client.ts";
import { requestBytes } from "../support/raw-request.ts";
import { modelOf, providerConfig, RequestPath, ScriptedProvider } from "../support/request-path.ts";
import { until } from "../support/until.ts";

const NAMES = ["aaaa-secret", "bbbb-secret", "cccc-secret"];
const credentials = NAMES.map((name) => ({
  header: "authorization",
  value: `Bearer ${name}`,
  source: name.slice(0, 4),
}));
const WALL_MS = 1.8e12;
const snapshot = snapshotOf({}, { credentials });
const RULES = { ...snapshot.breaker, cooldownMs: 10_000, cooldownMaxMs: 120_000 };

function rotation(): Rotation {
  const found = snapshotOf({}, { credentials }).routes.get("other")?.target.provider.rotation;
  if (found === undefined || found === null) throw new Error("there is no rotation");
  return found;
}

test("they take turns, and one that rests is passed over until its time", () => {
  const all = rotation();
  const [first, second] = all.credentials;
  if (first === undefined || second === undefined) throw new Error("too few");
  const take = (atMs: number) => takeCredential(exchangeOf(), all, atMs).place;
  deepStrictEqual(
    [1, 2, 3, 4].map(() => take(WALL_MS)),
    [0, 1, 2, 0],
  );
  restCredential(second, CREDENTIAL_LIMITED, 0, WALL_MS, RULES);
  deepStrictEqual(
    [1, 2, 3].map(() => take(WALL_MS + 9_900)),
    [2, 0, 2],
  );
  deepStrictEqual(
    [1, 2, 3].map(() => take(WALL_MS + 10_100)),
    [0, 1, 2],
  );
  // A clock that was set back by years does not make it rest for years.
  strictEqual(restMs(second.state, WALL_MS - 1e11), 0);
});

test("a provider's Retry-After is heeded up to the longest cooldown, and a refused one rests for all of that", () => {
  const rests = (verdict: number, retryAfterMs: number) => {
    const [one] = rotation().credentials;
    if (one === undefined) throw new Error("none");
    restCredential(one, verdict, retryAfterMs, WALL_MS, RULES);
    return Math.round(restMs(one.state, WALL_MS) / 100) * 100;
  };
  deepStrictEqual(
    [
      rests(CREDENTIAL_LIMITED, 0),
      rests(CREDENTIAL_LIMITED, 3_000),
      rests(CREDENTIAL_LIMITED, 9e9),
      rests(CREDENTIAL_REFUSED, 0),
    ],
    [10_000, 3_000, 120_000, 120_000],
  );
});

test("where all of them rest, it is the one that is free first; a try goes over each once", () => {
  const all = rotation();
  for (const [place, one] of all.credentials.entries())
    restCredential(one, CREDENTIAL_LIMITED, [5_000, 1_000, 3_000][place] ?? 0, WALL_MS, RULES);
  const exchange = exchangeOf();
  strictEqual(takeCredential(exchange, all, WALL_MS).place, 1);
  strictEqual(rotateCredential(exchange, all, WALL_MS), null);
  deepStrictEqual(
    [1, 2, 3].map(() => rotateCredential(exchange, all, WALL_MS + 6_000)?.place ?? null),
    [2, 0, null],
  );
});

test("that one is refused, and that it is taken again, is news once", () => {
  const [one] = rotation().credentials;
  if (one === undefined) throw new Error("none");
  const refuse = () => restCredential(one, CREDENTIAL_REFUSED, 0, WALL_MS, RULES);
  deepStrictEqual(
    [refuse(), refuse(), acceptCredential(one), acceptCredential(one), refuse()],
    [true, false, true, false, true],
  );
  strictEqual(restCredential(one, CREDENTIAL_LIMITED, 0, WALL_MS, RULES), false);
});

/** The credential that each request came with. */
const seen: string[] = [];
/** By credential, what it is answered with; the others are fine. */
const answers = new Map<string, string>();
/** Where each of them came last. */
const sockets = new Map<string, Socket>();
const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
const fails = (status: string, headers = "", body = "{}") =>
  `HTTP/1.1 ${status}\r\n${headers}content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
const provider = await ScriptedProvider.start((socket, received) => {
  const heads = [...received.toString("latin1").matchAll(/^authorization: Bearer (\S+)/gm)];
  const name = heads.at(-1)?.[1] ?? "none";
  seen.push(name);
  sockets.set(name, socket);
  socket.write(answers.get(name) ?? OK);
});
const models = {
  single: modelOf("main", "m"),
  several: {
    targets: [
      { provider: "main", model: "x", weight: 1, priority: 0 },
      { provider: "other", model: "y", weight: 1, priority: 1 },
    ],
    strategy: "priority" as const,
    attempts: 2,
  },
};
const hedged = {
  targets: ["x", "y"].map((model) => ({ provider: "main", model, weight: 1, priority: 0 })),
  strategy: "priority" as const,
  attempts: 2,
  hedge: { afterMs: 1, percentMax: 100, inFlightMax: 10 },
};
let path: RequestPath;
let client: RawClient;
beforeEach(async () => {
  path?.stop();
  client?.leave();
  seen.length = 0;
  answers.clear();
  sockets.clear();
  const other = providerConfig(provider.port, {
    credentials: [{ header: "authorization", value: "Bearer spare", source: "s" }],
  });
  const providers = { main: providerConfig(provider.port, { credentials }), other };
  path = await RequestPath.start(provider, { providers, models: { ...models, hedged } });
  client = await RawClient.connect(path.port);
});
after(() => {
  path.stop();
  client.leave();
  provider.stop();
});

const [A = "", B = "", C = ""] = NAMES;
const ask = (model: string, pad = "") => client.ask(requestBytes({ body: `{"model":"${model}","pad":"${pad}"}` }));
const last = () => path.records().at(-1);

test("a refused one costs its request nothing but another try, with one target and none behind it", async () => {
  answers.set(A, fails("401 No", "", `{"error":"${A}"}`));
  strictEqual((await ask("single")).status, 200);
  deepStrictEqual(seen, [A, B]);
  deepStrictEqual([last()?.attempts, last()?.status], [2, 200]);
  deepStrictEqual([last()?.credential, last()?.decision], [2, "tries=main/m#1:credential"]);
  for (let i = 0; i < 4; i += 1) strictEqual((await ask("single")).status, 200);
  deepStrictEqual(seen.slice(2), [C, B, C, B]);
});

test("limited ones are left alone as long as they say, and the last one's answer is the client's when all are", async () => {
  answers.set(A, fails("429 Slow", "retry-after: 9\r\n"));
  answers.set(B, fails("429 Slow", "retry-after: 7\r\n"));
  strictEqual((await ask("single")).status, 200);
  answers.set(C, fails("429 Slow", "retry-after: 8\r\n"));
  const answer = await ask("single");
  deepStrictEqual([answer.status, answer.body.toString()], [429, "{}"]);
  deepStrictEqual(seen, [A, B, C, C]);
  const told = path.records().map(({ credential, decision }) => [credential, decision]);
  deepStrictEqual(told, [
    [3, "tries=main/m#1:rate_limit,main/m#2:rate_limit"],
    [3, ""],
  ]);
  // All of them rest: one try, with the one that is free first.
  strictEqual((await ask("single")).status, 429);
  deepStrictEqual(seen.slice(4), [B]);
});

test("the body goes out once more as it was, large ones too", async () => {
  answers.set(A, fails("429 Slow"));
  const pad = "é".repeat(100_000);
  strictEqual((await ask("single", pad)).status, 200);
  const bodies = provider.received.slice(-2).map((bytes) => bytes.toString("utf8").split("\r\n\r\n")[1]);
  deepStrictEqual(bodies, [`{"model":"m","pad":"${pad}"}`, `{"model":"m","pad":"${pad}"}`]);
});

test("a target has failed only when all of its credentials have; then the next one is asked", async () => {
  for (const name of NAMES) answers.set(name, fails("401 No"));
  strictEqual((await ask("several")).status, 200);
  deepStrictEqual(seen, [A, B, C, "spare"]);
  const breaker = path.pipeline.snapshot.routes.get("several")?.choices[0]?.state.breaker;
  deepStrictEqual([breaker?.[9], breaker?.[10]], [1, 1]);
  const tries = [1, 2, 3].map((number) => `main/x#${number}:credential`);
  deepStrictEqual([last()?.credential, last()?.decision], [0, `tries=${tries.join(",")}`]);
});

test("each of two attempts at a time is recorded with its own", async () => {
  answers.set(A, "");
  strictEqual((await ask("hedged")).status, 200);
  deepStrictEqual(seen, [A, B]);
  const told = path.records().map(({ kind, credential, decision }) => [kind, credential, decision]);
  deepStrictEqual(told, [
    [KIND_HEDGE, 1, ""],
    [KIND_REQUEST, 2, "tries=main/x#1:slower"],
  ]);
});

test("one that a hedge was refused with is told as that, though another one has its turn then", async () => {
  answers.set(A, "");
  answers.set(B, fails("401 No"));
  const answer = ask("hedged");
  await until("the credential rests", () => restMs(stateOf(1), Date.now()) > 0);
  sockets.get(A)?.write(OK);
  strictEqual((await answer).status, 200);
  deepStrictEqual([last()?.credential, last()?.decision], [1, "tries=main/y#2:credential"]);
});

function stateOf(place: number): Int32Array {
  const credential = path.pipeline.snapshot.routes.get("single")?.target.provider.rotation?.credentials[place];
  if (credential === undefined) throw new Error("there is none");
  return credential.state;
}

test("without another one the client is told as before, and no credential is in what it is told", async () => {
  for (const name of NAMES) answers.set(name, fails("401 No", "", `{"error":"${name}"}`));
  const refused = await ask("single");
  deepStrictEqual([refused.status, JSON.parse(refused.body.toString()).error.code], [502, "upstream_auth_failed"]);
  for (const name of NAMES) answers.set(name, fails("400 Bad", "", `{"error":"not ${C}, but ${name}"}`));
  const quoted = await ask("single");
  strictEqual(quoted.status, 502);
  strictEqual(
    NAMES.some((name) => quoted.body.includes(name)),
    false,
  );
});

test("403 is a credential's fault where it says so, and the client's answer where it says something else", async () => {
  answers.set(A, fails("403 No", "", '{"error":{"message":"x","code":"invalid_api_key"}}'));
  strictEqual((await ask("single")).status, 200);
  deepStrictEqual(seen, [A, B]);
  const flagged = '{"error":{"message":"Your input was flagged.","code":403}}';
  answers.set(C, fails("403 No", "", flagged));
  const answer = await ask("single");
  deepStrictEqual([answer.status, answer.body.toString()], [403, flagged]);
  strictEqual((await ask("single")).status, 200);
  strictEqual(path.records()[0]?.decision, "tries=main/m#1:credential");
  // The refused one rests, the other one does not.
  deepStrictEqual(seen.slice(2), [C, B]);
});

test("where 403 is what all credentials bring, the next target is asked", async () => {
  for (const name of NAMES) answers.set(name, fails("403 No", "", '{"error":{"code":"account_deactivated"}}'));
  strictEqual((await ask("several")).status, 200);
  deepStrictEqual(seen, [A, B, C, "spare"]);
});

test("requests that name no model have always the first one, and its answer", async () => {
  answers.set(A, fails("429 Slow"));
  for (let i = 0; i < 2; i += 1) {
    const answer = await client.ask(
      requestBytes({ method: "GET", target: "/v1/files", body: "", headers: { "content-length": "" } }),
    );
    strictEqual(answer.status, 429);
  }
  deepStrictEqual(seen, [A, A]);
  strictEqual(last()?.credential, 0);
});
