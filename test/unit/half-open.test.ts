/** A breaker that has cooled, on the whole request path: one request tries the target, the others go elsewhere until it is back. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import type { Socket } from "node:net";
import { after, test } from "node:test";
import { RawClient } from "../support/raw-client.ts";
import { requestBytes } from "../support/raw-request.ts";
import { configOf, modelOf, providerConfig, RequestPath, ScriptedProvider } from "../support/request-path.ts";
import { until } from "../support/until.ts";

const CLIENTS = 6;
const REQUEST = requestBytes({ body: '{"model":"several"}' });
const ANSWER = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
const FAILURE = "HTTP/1.1 500 Oops\r\ncontent-length: 2\r\n\r\n{}";

/** What came to the first provider and was not answered yet. */
const held: Socket[] = [];
let broken = true;
let asked = 0;
const first = await ScriptedProvider.start((socket) => {
  asked += 1;
  if (broken) socket.write(FAILURE);
  else held.push(socket);
});
const second = await ScriptedProvider.start((socket) => socket.write(ANSWER));
const providers = { main: providerConfig(first.port), other: providerConfig(second.port) };
const targets = [...modelOf("main", "m").targets, ...modelOf("other", "m").targets];
const changes = {
  models: { several: { targets, strategy: "priority" as const, attempts: 2 } },
  breaker: {
    enabled: true,
    failures: 2,
    errorPercent: 100,
    requests: 1_000,
    windowMs: 10_000,
    cooldownMs: 200,
    cooldownMaxMs: 200,
  },
};
const path = await RequestPath.start(first);
await path.reload(configOf(providers, path.dataDir, changes));
after(() => {
  path.stop();
  first.stop();
  second.stop();
});

test("one request tries a target that has cooled, and when it is answered all go there again", async () => {
  const clients = await Promise.all(Array.from({ length: CLIENTS }, () => RawClient.connect(path.port)));
  const [client] = clients;
  if (client === undefined) throw new Error("there is no client");
  for (let i = 0; i < 4; i += 1) strictEqual((await client.ask(REQUEST)).status, 200);
  strictEqual(asked, 2);
  broken = false;
  // Each request that does not get the probe is answered at once: one that is not has it.
  let probing: Promise<unknown> | null = null;
  await until("a request tries it", async () => {
    const answer = client.ask(REQUEST);
    probing = answer;
    await Promise.race([answer, until("it is asked", () => held.length > 0 || undefined)]);
    return held.length > 0 || undefined;
  });
  for (const other of clients.slice(1)) strictEqual((await other.ask(REQUEST)).status, 200);
  deepStrictEqual([held.length, asked], [1, 3]);
  held.pop()?.write(ANSWER);
  await probing;
  const answers = clients.map((one) => one.ask(REQUEST));
  await until("all of them are there", () => held.length === CLIENTS || undefined);
  for (const socket of held) socket.write(ANSWER);
  deepStrictEqual(new Set((await Promise.all(answers)).map(({ status }) => status)), new Set([200]));
  for (const one of clients) one.leave();
});
