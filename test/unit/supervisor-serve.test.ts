/** The program as its operator meets it when it cannot start, and when it is told to end at once. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, test } from "node:test";
import { open } from "../support/http-client.ts";
import { Program, ROOT } from "../support/program.ts";
import { STREAM_BODY } from "../support/raw-request.ts";
import { Sluice } from "../support/sluice.ts";
import { until } from "../support/until.ts";
import { Upstream } from "../support/upstream.ts";

const upstream = await Upstream.start();
after(() => upstream.stop());

/** A second program on the configuration of the first. */
async function refusal(sluice: Sluice): Promise<string> {
  const program = new Program([join(ROOT, "src/main.ts"), "serve", "-c", sluice.configFile], { MOCK_KEY: "x" });
  assert.equal(await program.end(), 1);
  return program.stderr();
}

test("a data directory in use and a port in use are refused by name, and the one that runs goes on", async () => {
  const sluice = await Sluice.start(upstream);
  assert.match(await refusal(sluice), /Another sluice uses .*data.*'data_dir'/);
  const text = await readFile(sluice.configFile, "utf8");
  await sluice.configureText(text.replace(`"${sluice.dataDir}"`, `"${sluice.dataDir}/other"`));
  assert.match(await refusal(sluice), new RegExp(`port ${sluice.port} .*'listen'`));
  assert.equal(await sluice.isReady(), true);
  await sluice.stop();
});

test("told twice to stop, it ends at once, and its workers with it", async () => {
  const sluice = await Sluice.start(upstream, { timeouts: { drain: "60s" } });
  const stream = await open(sluice, "/chat/completions", { body: STREAM_BODY, headers: { "x-mock": "hold=twice" } });
  sluice.signal("SIGTERM");
  await until("readiness is gone", async () => (await sluice.healthStatus("ready")) === 503);
  const again = setInterval(() => sluice.signal("SIGTERM"), 100);
  assert.equal(await sluice.end(), 143, sluice.log);
  clearInterval(again);
  await assert.rejects(stream.text());
  await upstream.open("twice");
  await sluice.remove();
});
