/** Outages under load with the real program and two workers: no request fails, and a dead provider is hardly asked. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { after, test } from "node:test";
import { freePort } from "../../native-bench/contestants/free-port.ts";
import { type ConfigForm, mockProvider, standardConfig } from "../support/config.ts";
import { type Answer, chat, errorOf, streamChat } from "../support/http-client.ts";
import { Sluice } from "../support/sluice.ts";
import { until } from "../support/until.ts";
import { Upstream } from "../support/upstream.ts";

const sick = await Upstream.start();
const well = await Upstream.start();
const nobody = await freePort();
const FAILURES = 5;
const CLIENTS = 8;

/** With providers in front of the healthy one, by the fault that each has; one more refuses connections. */
function formOf(faults: Readonly<Record<string, string>>, cooldown: string): ConfigForm {
  const refusing = mockProvider(`http://127.0.0.1:${nobody}/v1`);
  const broken = Object.entries(faults).map(([name, fault]) => [
    name,
    { ...mockProvider(sick.url), headers: { "x-mock": fault } },
  ]);
  const targets = (name: string) => ({
    targets: [
      { provider: name, model: "m" },
      { provider: "well", model: "m" },
    ],
  });
  return {
    ...standardConfig(well),
    workers: 2,
    timeouts: { drain: "5s", first_byte: "300ms" },
    providers: { well: mockProvider(well.url), refusing, ...Object.fromEntries(broken) },
    models: {
      ...Object.fromEntries(["refusing", ...Object.keys(faults)].map((name) => [name, targets(name)])),
      nowhere: {
        targets: [
          { provider: "failing", model: "m" },
          { provider: "failing", model: "n" },
        ],
      },
    },
    passthrough: "well",
    breaker: { failures: String(FAILURES), cooldown },
  };
}

const FAULTS = {
  failing: "status=500",
  limited: "status=429",
  locked: "status=401",
  resetting: "reset-before-head",
  closing: "close-in-head",
  hanging: "stall-before-head",
};
const sluice = await Sluice.start(well, formOf(FAULTS, "1h"));
after(async () => {
  await sluice.stop();
  await sick.stop();
  await well.stop();
});

function body(model: string): object {
  return { model, messages: [{ role: "user", content: "Say it." }] };
}

/** `count` requests, eight at a time, each second one a stream. */
async function load(model: string, count: number): Promise<Answer[]> {
  const answers: Answer[] = [];
  const client = async () => {
    for (let i = 0; i < count / CLIENTS; i += 1)
      answers.push(await (i % 2 === 0 ? chat : streamChat)(sluice, "", body(model)));
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  return answers;
}

function isWhole({ status, text }: Answer): boolean {
  return status === 200 && (text.startsWith("{") || text.endsWith("data: [DONE]\n\n"));
}

for (const name of ["refusing", ...Object.keys(FAULTS)]) {
  test(`a provider that is ${name} fails no request under load, and is asked no more once that is known`, async () => {
    await sick.reset();
    const answers = await load(name, 400);
    const broken = answers.filter((answer) => !isWhole(answer)).map(({ text }) => text);
    deepStrictEqual([answers.length, broken], [400, []]);
    const tries = await sluice.metric("sluice_target_tries_total", { provider: name, model: "m" });
    // Eight may be on their way when the last of the failures comes.
    ok(tries >= FAILURES && tries <= FAILURES + CLIENTS, `${tries} tries of a dead provider`);
    const { requestsTotal } = await sick.journal();
    strictEqual(requestsTotal, name === "refusing" ? 0 : tries);
    strictEqual(await sluice.metric("sluice_target_open", { provider: name, model: "m" }), 1);
    strictEqual(await sluice.metric("sluice_target_opens_total", { provider: name, model: "m" }), 1);
    const left = () => sluice.log.split("\n").some((line) => line.includes("left alone") && line.includes(`"${name}"`));
    await until("it is in the log", () => left() || undefined);
    const last = await sluice.recordOf(answers.at(-1)?.requestId ?? "");
    deepStrictEqual([last.provider, last.attempts], ["well", 1]);
  });
}

test("a reload keeps what is known of targets, and so does a restart that takes over", async () => {
  await sick.reset();
  strictEqual((await sluice.command("reload")).code, 0);
  deepStrictEqual(new Set((await load("failing", 40)).map(({ status }) => status)), new Set([200]));
  strictEqual((await sluice.command("restart")).code, 0);
  deepStrictEqual(new Set((await load("failing", 40)).map(({ status }) => status)), new Set([200]));
  strictEqual((await sick.journal()).requestsTotal, 0);
});

test("where every target is left alone, the answer says so", async () => {
  await load("nowhere", 16);
  const answer = await chat(sluice, "", body("nowhere"));
  deepStrictEqual([answer.status, errorOf(answer)["code"]], [503, "no_target_available"]);
  // When the first breaker lets a request through: after about an hour.
  const [seconds, ms] = ["retry-after", "retry-after-ms"].map((name) => Number(answer.headers.get(name)));
  ok(seconds !== undefined && seconds > 60 && seconds <= 2 * 3_600, String(seconds));
  strictEqual(Math.ceil((ms ?? 0) / 1_000), seconds);
});
