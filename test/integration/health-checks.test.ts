/** Health checks with the real program and two workers: a sick provider gets no request, without one that had to find it out. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { after, beforeEach, test } from "node:test";
import { mockProvider, standardConfig } from "../support/config.ts";
import { chat } from "../support/http-client.ts";
import { ScriptedProvider } from "../support/request-path.ts";
import { Sluice } from "../support/sluice.ts";
import { until } from "../support/until.ts";
import { Upstream } from "../support/upstream.ts";

const WHOLE = '{"id":"1","object":"chat.completion","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}';
const answer = (status: string, body: string) =>
  `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;

/** What a check is told; null: nothing. */
let health: string | null = "200 OK";
let checks = 0;
/** Of another provider, which is checked every hour. */
let seldom = 0;
let requests = 0;
/** It would answer requests at any time: only its checks tell that it is sick. */
const sick = await ScriptedProvider.start((socket, received) => {
  const text = received.toString("latin1");
  const last = text.slice(Math.max(text.lastIndexOf("POST /"), text.lastIndexOf("GET /")));
  if (last.startsWith("GET /v1/seldom")) {
    seldom += 1;
    socket.write(answer("200 OK", "{}"));
    return;
  }
  if (last.startsWith("GET /")) {
    checks += 1;
    if (health !== null) socket.write(answer(health, "{}"));
    return;
  }
  const [head = "", body = ""] = last.split("\r\n\r\n");
  if (body.length < Number(/content-length: (\d+)/.exec(head)?.[1])) return;
  requests += 1;
  socket.write(answer("200 OK", WHOLE));
});
const upstream = await Upstream.start();
const health_check = { path: "/up", interval: "1s", timeout: "300ms", unhealthy_after: 2, healthy_after: 2 };
const providers = {
  sick: { ...mockProvider(`http://127.0.0.1:${sick.port}/v1`), health_check },
  seldom: {
    ...mockProvider(`http://127.0.0.1:${sick.port}/v1`),
    health_check: { ...health_check, path: "/seldom", interval: "1h" },
  },
  well: mockProvider(upstream.url),
};
const targets = [
  { provider: "sick", model: "m" },
  { provider: "well", model: "m" },
];
const models = {
  several: { targets },
  single: { provider: "sick", model: "m" },
  rare: { provider: "seldom", model: "m" },
};
const sluice = await Sluice.start(upstream, {
  ...standardConfig(upstream),
  workers: 2,
  providers,
  models,
  passthrough: "well",
  prices: {},
});
beforeEach(() => {
  requests = 0;
});
after(async () => {
  await sluice.stop();
  sick.stop();
  await upstream.stop();
});

const ask = (model: string) => chat(sluice, "", { model, messages: [{ role: "user", content: "Say it." }] });

async function load(): Promise<Set<number>> {
  const statuses = new Set<number>();
  const client = async () => {
    for (let i = 0; i < 10; i += 1) statuses.add((await ask("several")).status);
  };
  await Promise.all([client(), client(), client(), client()]);
  return statuses;
}

const metric = (name: string) => sluice.metric(name, { provider: "sick" });
const becomes = (healthy: number) =>
  until(`healthy: ${healthy}`, async () => (await metric("sluice_provider_healthy")) === healthy || undefined);

test("while it is well, requests go to it", async () => {
  deepStrictEqual([await load(), requests], [new Set([200]), 40]);
  strictEqual(await metric("sluice_provider_healthy"), 1);
});

for (const [name, status] of [
  ["fails its checks", "503 No"],
  ["does not answer them", null],
] as const) {
  test(`one that ${name} is passed over, which the log says; a single target is asked all the same`, async () => {
    await becomes(1);
    requests = 0;
    health = status;
    await becomes(0);
    deepStrictEqual([await load(), requests], [new Set([200]), 0]);
    await until("it is in the log", () => sluice.log.includes("provider is unhealthy") || undefined);
    deepStrictEqual([(await ask("single")).status, requests], [200, 1]);
    health = "200 OK";
  });
}

test("a restart and a reload know what was known, and go on checking", async () => {
  await becomes(1);
  requests = 0;
  health = "503 No";
  await becomes(0);
  strictEqual((await sluice.command("reload")).code, 0);
  strictEqual((await sluice.command("restart")).code, 0);
  strictEqual(await metric("sluice_provider_healthy"), 0);
  deepStrictEqual([await load(), requests], [new Set([200]), 0]);
  health = "200 OK";
  await becomes(1);
  deepStrictEqual([await load(), requests], [new Set([200]), 40]);
  ok((await metric("sluice_health_checks_total")) > (await metric("sluice_health_check_failures_total")));
});

test("of all workers, those of the restart included, one makes each check", async () => {
  const before = checks;
  await until("others were made since", () => checks >= before + 3 || undefined);
  strictEqual(seldom, 1);
});

test("when it is not to be checked any more, nothing is passed over", async () => {
  health = "503 No";
  await becomes(0);
  const unchecked = { ...providers, sick: mockProvider(`http://127.0.0.1:${sick.port}/v1`) };
  await sluice.configure({
    ...standardConfig(upstream),
    workers: 2,
    providers: unchecked,
    models,
    passthrough: "well",
    prices: {},
  });
  strictEqual((await sluice.command("reload")).code, 0);
  deepStrictEqual([await load(), requests], [new Set([200]), 40]);
});
