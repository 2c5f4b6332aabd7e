/** What many restarts may hold: earlier generations are bounded, and nothing of them stays open. */
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { after, test } from "node:test";
import { FINISHING_GENERATIONS_MAX } from "../../src/base/limits.ts";
import { open } from "../support/http-client.ts";
import { filesOf } from "../support/process-tree.ts";
import { STREAM_BODY } from "../support/raw-request.ts";
import { Sluice } from "../support/sluice.ts";
import { until } from "../support/until.ts";
import { Upstream } from "../support/upstream.ts";

const upstream = await Upstream.start();
after(() => upstream.stop());

function holdStream(sluice: Sluice, gate: string): Promise<Response> {
  return open(sluice, "/chat/completions", { body: STREAM_BODY, headers: { "x-mock": `hold=${gate}` } });
}

test("earlier generations that finish are bounded: a restart beyond is refused until some have ended", async () => {
  const sluice = await Sluice.start(upstream, { timeouts: { drain: "120s" } });
  const streams: Response[] = [];
  for (let i = 0; i < FINISHING_GENERATIONS_MAX; i += 1) {
    streams.push(await holdStream(sluice, "bounded"));
    strictEqual((await sluice.command("restart")).code, 0);
  }
  streams.push(await holdStream(sluice, "bounded"));
  const refused = await sluice.command("restart");
  deepStrictEqual([refused.code, /8 workers of earlier generations finish/.test(refused.text)], [1, true]);
  await upstream.open("bounded");
  for (const stream of streams) match(await stream.text(), /data: \[DONE\]\n\n$/);
  await until("one of them has ended", () => sluice.workerPids().length <= FINISHING_GENERATIONS_MAX);
  strictEqual((await sluice.command("restart")).code, 0);
  await sluice.stop();
});

test("descriptors of the supervisor and its workers do not grow with restarts", async () => {
  const sluice = await Sluice.start(upstream);
  const counted = async () => {
    strictEqual((await sluice.command("restart")).code, 0);
    await until("the old worker has ended", () => sluice.workerPids().length === 1, 30_000);
    const [worker = 0] = sluice.workerPids();
    const kinds = (pid: number) =>
      filesOf(pid)
        .map((file) => file.replace(/\d+/g, ""))
        .sort();
    return [kinds(sluice.pid), kinds(worker)].map((files) => files.filter((file) => !file.startsWith("socket:")));
  };
  const first = await counted();
  deepStrictEqual(await counted(), first);
  await sluice.stop();
});
