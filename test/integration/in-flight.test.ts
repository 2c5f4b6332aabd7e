/** What is in flight, with the real program and two workers: `least_in_flight` goes by the sum of all of them, over reloads, restarts and deaths. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { after, test } from "node:test";
import { openInFlight } from "../../src/shm/in-flight.ts";
import { mockProvider, standardConfig } from "../support/config.ts";
import { FarEnd, type Seen } from "../support/far-end.ts";
import { RawClient } from "../support/raw-client.ts";
import { requestBytes } from "../support/raw-request.ts";
import { headerOf } from "../support/raw-response.ts";
import { Sluice } from "../support/sluice.ts";
import { until, within } from "../support/until.ts";
import { Upstream } from "../support/upstream.ts";

/** Connections of each worker. */
const CLIENTS = 12;
/** Characters of a request's id that are its worker's. */
const WORKER_CHARS = 28;

const upstream = await Upstream.start();
const [one, two] = await Promise.all([FarEnd.start(false), FarEnd.start(false)]);
for (const far of [one, two]) far.script = hold;
const targets = ["one", "two"].map((provider) => ({ provider, model: "m" }));
const sluice = await Sluice.start(upstream, {
  ...standardConfig(upstream),
  workers: 2,
  timeouts: { drain: "60s", first_byte: "120s" },
  providers: { one: mockProvider(`${one.url}/v1`), two: mockProvider(`${two.url}/v1`) },
  models: {
    quick: { provider: "one", model: "quick" },
    first: { targets },
    even: { strategy: "least_in_flight", targets },
  },
  passthrough: "one",
});
const map = openInFlight(sluice.dataDir);
const clients: RawClient[] = [];
after(async () => {
  for (const client of clients) client.leave();
  await sluice.stop();
  await upstream.stop();
  for (const far of [one, two]) far.stop();
});

/** Of the requests only those for `quick` are answered. */
function hold({ request, response }: Seen): void {
  let text = "";
  request.on("data", (chunk: Buffer) => {
    text += chunk.toString();
  });
  request.on("end", () => {
    if (text.includes('"quick"')) response.writeHead(200, { "content-type": "application/json" }).end("{}");
  });
}

function bytesOf(model: string): Buffer {
  return requestBytes({ body: `{"model":"${model}","messages":[{"role":"user","content":"Say it."}]}` });
}

/** Connections to two workers, CLIENTS to each. */
async function connections(): Promise<[RawClient[], RawClient[]]> {
  const byWorker = new Map<string, RawClient[]>();
  await until("both workers have enough connections", async () => {
    const client = await RawClient.connect(sluice.port);
    clients.push(client);
    const worker = headerOf(await client.ask(bytesOf("quick")), "x-request-id").slice(0, WORKER_CHARS);
    byWorker.set(worker, [...(byWorker.get(worker) ?? []), client]);
    return byWorker.size === 2 && [...byWorker.values()].every(({ length }) => length >= CLIENTS);
  });
  const [left = [], right = []] = byWorker.values();
  return [left, right];
}

/** Requests that the providers have and have not answered. */
function held(): [number, number] {
  const of = ({ seen }: FarEnd) =>
    seen.filter(({ cancelled, response }) => !cancelled && !response.writableEnded).length;
  return [of(one), of(two)];
}

function counted(): [number, number] {
  return [map.at("one", "m", 0).count, map.at("two", "m", 0).count];
}

/** One after the other, on connections that nobody uses. */
async function send(from: RawClient[], count: number, model: string): Promise<void> {
  for (let i = 0; i < count; i += 1) {
    const [before, client] = [one.seen.length + two.seen.length, from.pop()];
    ok(client !== undefined);
    await client.send(bytesOf(model));
    await until("a provider has it", () => one.seen.length + two.seen.length > before);
  }
}

async function goneOf(busy: RawClient[]): Promise<void> {
  await Promise.all(busy.map(({ closed }) => closed));
}

async function explained(): Promise<number[]> {
  const { text } = await sluice.command("explain", "--key", "default", "--model", "even", "--json");
  const { targets: told } = JSON.parse(text) as { targets: { provider: string; inFlight: number }[] };
  return ["one", "two"].map((name) => told.find(({ provider }) => provider === name)?.inFlight ?? -1);
}

async function endAll(): Promise<void> {
  for (const { response } of [...one.seen, ...two.seen])
    if (!response.writableEnded) response.writeHead(200, { "content-type": "application/json" }).end("{}");
  await until("nothing is in flight", () => counted().join() === "0,0");
}

test("what one worker has in flight counts for the other one, over a reload and a restart, and in explain", async () => {
  const [left, right] = await connections();
  await send(left, 5, "first");
  deepStrictEqual(
    [held(), counted()],
    [
      [5, 0],
      [5, 0],
    ],
  );
  await send(right, 5, "even");
  deepStrictEqual(
    [held(), counted()],
    [
      [5, 5],
      [5, 5],
    ],
  );
  await send(right, 1, "first");
  strictEqual((await sluice.command("reload")).code, 0);
  await send(left, 3, "even");
  deepStrictEqual(
    [held(), counted()],
    [
      [7, 7],
      [7, 7],
    ],
  );
  strictEqual((await sluice.command("restart")).code, 0);
  const [later, last] = await connections();
  await send(later, 4, "first");
  deepStrictEqual(
    [held(), counted(), await explained()],
    [
      [11, 7],
      [11, 7],
      [11, 7],
    ],
  );
  await send(last, 4, "even");
  deepStrictEqual(
    [held(), counted()],
    [
      [11, 11],
      [11, 11],
    ],
  );
  await endAll();
});

for (const generation of ["current", "earlier"] as const) {
  test(`what a killed worker of the ${generation} generation had in flight comes back, and nothing else`, async () => {
    const pids = await until("no other generation is left", () => {
      const all = sluice.workerPids();
      return all.length === 2 ? all : null;
    });
    const [left, right] = await connections();
    // What stays when the one or the other worker dies: all of a dead one's connections are gone.
    const others = [goneOf(left.slice(-4)).then(() => 2), goneOf(right.slice(-2)).then(() => 4)];
    await send(left, 4, "first");
    await send(right, 2, "first");
    if (generation === "earlier") strictEqual((await sluice.command("restart")).code, 0);
    deepStrictEqual(counted(), [6, 0]);
    process.kill(pids[0] ?? 0, "SIGKILL");
    const alive = await within("the end of a worker's connections", Promise.race(others));
    await until("the provider knows", () => held()[0] === alive);
    await until("they are taken off", () => counted()[0] === alive);
    await until("there are two workers", async () => (await sluice.metric("sluice_workers_up")) === 2);
    const [later] = await connections();
    await send(later, alive, "even");
    deepStrictEqual(
      [held(), counted()],
      [
        [alive, alive],
        [alive, alive],
      ],
    );
    await endAll();
  });
}
