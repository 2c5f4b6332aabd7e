/** What a client is told when limits of targets leave nothing to try: of the limits, or of the failure before them with a time to try again. */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { after, test } from "node:test";
import { freePort } from "../../native-bench/contestants/free-port.ts";
import { mockProvider, standardConfig } from "../support/config.ts";
import { type Answer, chat, errorOf } from "../support/http-client.ts";
import { ScriptedProvider } from "../support/request-path.ts";
import { Sluice } from "../support/sluice.ts";
import { Upstream } from "../support/upstream.ts";

const LARGE = 300_000;
const MINUTE_S = 60;

/** Answers with what its path is called by, once the request has begun to come. */
const sick = await ScriptedProvider.start((socket, received) => {
  const [, status = "500", retry = ""] = /\/s(\d+)(?:-(\d+))?\/v1\//.exec(received.toString("latin1")) ?? [];
  const line = retry === "" ? "" : `retry-after: ${retry}\r\n`;
  socket.end(`HTTP/1.1 ${status} Oops\r\ncontent-type: application/json\r\n${line}content-length: 2\r\n\r\n{}`);
});
const upstream = await Upstream.start();
const sickAt = (path: string) => mockProvider(`http://127.0.0.1:${sick.port}/${path}/v1`);
const targets = (...providers: string[]) => ({ targets: providers.map((provider) => ({ provider, model: "m" })) });
const well = mockProvider(upstream.url);

const sluice = await Sluice.start(upstream, {
  ...standardConfig(upstream),
  providers: {
    ...Object.fromEntries(["one", "two", "three", "full", "day"].map((name) => [name, well])),
    gone: mockProvider(`http://127.0.0.1:${await freePort()}/v1`),
    failing: sickAt("s500"),
    patient: sickAt("s429-40"),
    hasty: sickAt("s429-1"),
    closed: sickAt("s401"),
  },
  models: {
    all: { ...targets("one", "two"), fallbacks: { default: [{ provider: "three", model: "m" }] } },
    large: targets("one", "two"),
    failing: targets("failing", "full"),
    gone: targets("gone", "full"),
    patient: targets("patient", "full"),
    hasty: targets("hasty", "full"),
    closed: targets("closed", "full"),
    late: targets("failing", "day"),
    saved: targets("failing", "full", "three"),
    filling: targets("full"),
    spent: targets("day"),
  },
  passthrough: "one",
  breaker: { failures: "1000" },
  rate_limits: [
    { name: "minute", scope: ["provider", "model"], models: ["all", "large"], requests: "1/min" },
    {
      name: "shared",
      scope: ["provider"],
      models: ["failing", "gone", "patient", "hasty", "closed", "saved", "filling"],
      tokens: "60/min",
      burst: 31,
    },
    { name: "daily", scope: ["provider"], models: ["late", "spent"], tokens: "60/day", burst: 31 },
  ],
});
after(async () => {
  await sluice.stop();
  await upstream.stop();
  sick.stop();
});

function asked(model: string, content = "Say it."): Promise<Answer> {
  return chat(sluice, "", { model, max_tokens: 20, messages: [{ role: "user", content }] });
}

function told({ status, headers }: Answer): (number | string | null)[] {
  return [status, headers.get("retry-after") === null ? null : "retry-after", headers.get("x-should-retry")];
}

/** Of one answer, its only time to try again. */
function retryMs({ headers }: Answer): number {
  const [seconds, ms] = [headers.get("retry-after") ?? "", headers.get("retry-after-ms") ?? ""];
  match(seconds, /^\d+$/);
  match(ms, /^\d+$/);
  strictEqual(Number(seconds), Math.ceil(Number(ms) / 1_000));
  return Number(ms);
}

test("each target has its turn, those of fallbacks as well, and then it is 429 with a time to wait", async () => {
  const seen: string[] = [];
  for (let i = 0; i < 3; i += 1) seen.push((await sluice.recordOf((await asked("all")).requestId)).provider);
  deepStrictEqual(seen, ["one", "two", "three"]);
  const refused = await asked("all");
  deepStrictEqual([refused.status, errorOf(refused)["code"]], [429, "rate_limit_exceeded"]);
  ok(retryMs(refused) <= MINUTE_S * 1_000, "the first of them has room first");
  const first = await sluice.recordOf(refused.requestId);
  deepStrictEqual([first.provider, first.decision.includes("full=")], ["one", true]);
});

test("a large body goes where there is room as a small one does", async () => {
  const seen: (string | number)[] = [];
  for (let i = 0; i < 3; i += 1) {
    const answer = await asked("large", "x".repeat(LARGE));
    seen.push(answer.status === 200 ? (await sluice.recordOf(answer.requestId)).provider : answer.status);
  }
  deepStrictEqual(seen, ["one", "two", 429]);
});

test("a failure that no fallback has room to follow stays the answer, and says when one has", async () => {
  strictEqual((await asked("filling")).status, 200);
  const failed = await asked("failing");

  deepStrictEqual(told(failed), [500, "retry-after", null]);
  ok(retryMs(failed) > 0 && retryMs(failed) <= MINUTE_S * 1_000);
  const unreachable = await asked("gone");
  deepStrictEqual(
    [...told(unreachable), errorOf(unreachable)["code"]],
    [502, "retry-after", null, "upstream_unreachable"],
  );
  ok(retryMs(unreachable) > 0);
  deepStrictEqual(told(await asked("closed")), [502, "retry-after", null], "a retry helps now");
});

test("of the provider's time to try again and that of its fallback the nearer one is told, and only that", async () => {
  const patient = await asked("patient");
  deepStrictEqual(told(patient), [429, "retry-after", null]);
  ok(retryMs(patient) < 40_000);
  const { status, headers } = await asked("hasty");
  deepStrictEqual([status, headers.get("retry-after"), headers.get("retry-after-ms")], [429, "1", null]);
});

test("no time is told that is far away, and none to who was answered", async () => {
  strictEqual((await asked("spent")).status, 200);
  deepStrictEqual(told(await asked("late")), [500, null, null]);
  deepStrictEqual(told(await asked("saved")), [200, null, null]);
});
