/** Shadow traffic of the real program with two workers: what a copy leaves in the store and in the sums, and that nothing waits for one. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { after, test } from "node:test";
import { type ConfigForm, mockProvider, standardConfig } from "../support/config.ts";
import { type Answer, chat } from "../support/http-client.ts";
import { Sluice } from "../support/sluice.ts";
import { until } from "../support/until.ts";
import { Upstream } from "../support/upstream.ts";
import { attemptsOf } from "../support/usage-db.ts";

const real = await Upstream.start();
const other = await Upstream.start();

const FORM: ConfigForm = {
  ...standardConfig(real),
  workers: 2,
  timeouts: { drain: "60s", first_byte: "120s" },
  providers: {
    real: mockProvider(real.url),
    other: mockProvider(other.url),
    hanging: { ...mockProvider(other.url), headers: { "x-mock": "stall-before-head" } },
  },
  models: {
    copied: { provider: "real", model: "m", shadow: { provider: "other", model: "n", percent: "100" } },
    hung: { provider: "real", model: "m", shadow: { provider: "hanging", model: "n", percent: "100" } },
  },
  passthrough: "real",
  prices: { m: { input: 1, output: 1 }, n: { input: 1_000, output: 1_000 } },
};

const sluice = await Sluice.start(real, FORM);
after(async () => {
  await sluice.remove();
  await real.stop();
  await other.stop();
});

async function ask(model: string, stream = false): Promise<Answer> {
  return chat(sluice, "", { model, stream, messages: [{ role: "user", content: "Say it." }] });
}

async function sent(): Promise<number> {
  return sluice.metric("sluice_shadow_requests_total");
}

test("copies are no requests, cost nobody anything, and are told apart", async () => {
  for (let i = 0; i < 10; i += 1) strictEqual((await ask("copied", i % 2 === 0)).status, 200);
  await until("all copies are booked", async () => {
    return (await sluice.metric("sluice_extra_attempts_total", { kind: "shadow" })) === 10 || undefined;
  });
  strictEqual(await sent(), 10);
  strictEqual((await other.journal()).requestsTotal, 10);
  strictEqual(await sluice.metric("sluice_endpoint_requests_total", { endpoint: "chat/completions" }), 10);
  const spent = await sluice.metric("sluice_cost_dollars_total");
  const copies = await sluice.metric("sluice_extra_cost_dollars_total", { kind: "shadow" });
  ok(spent > 0 && copies > 100 * spent, `${spent} and ${copies} dollars`);
  await until("usage knows of them", async () => {
    const { text } = await sluice.command("usage", "--by", "kind");
    return /shadow\s+.*10/.test(text) || undefined;
  });
});

async function hang(count: number): Promise<void> {
  await until(
    `${count} copies hang`,
    async () => (await sluice.metric("sluice_shadow_in_flight")) === count || undefined,
  );
}

test("a reload and a stop wait for no copy, and a copy that is ended is booked", async () => {
  const answers = [await ask("hung"), await ask("hung"), await ask("hung"), await ask("hung")];
  deepStrictEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
  await hang(4);
  strictEqual((await sluice.command("reload")).code, 0);
  await hang(4);
  strictEqual(await sent(), 14);
  sluice.signal("SIGTERM");
  strictEqual(await sluice.end(), 0);
  for (const { requestId } of answers) {
    const kinds = attemptsOf(sluice.dataDir, requestId).map(({ kind, usage_source: source }) => `${kind} ${source}`);
    deepStrictEqual(kinds.sort(), ["request measured", "shadow estimated"]);
  }
});
