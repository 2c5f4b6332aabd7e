/** A request that gives itself less time, on the whole request path: it is over when that is, whatever it waits for, and before others. */
import { deepStrictEqual } from "node:assert/strict";
import { after, test } from "node:test";
import { hashOf, KEY } from "../support/config.ts";
import { RawClient } from "../support/raw-client.ts";
import { requestBytes } from "../support/raw-request.ts";
import { configOf, RequestPath, ScriptedProvider } from "../support/request-path.ts";
import { until } from "../support/until.ts";

const LATE_MS = 3_000;
const provider = await ScriptedProvider.start(() => undefined);
const { timeouts } = configOf({}, "");
const key = { enabled: true, expiresAtMs: null, team: null, models: null, overrides: ["timeout"] as const };
const path = await RequestPath.start(provider, {
  timeouts: { ...timeouts, totalMs: LATE_MS, connectMs: 2 * LATE_MS, queueMs: 2 * LATE_MS },
  keys: [{ ...key, name: "k", hash: hashOf(KEY).slice(7) }],
});
after(() => {
  path.stop();
  provider.stop();
});

const seen: string[] = [];

/** Sends a request, of whose body the last bytes may be left out. `ended`: when what came of it was seen. */
async function begin(name: string, timeoutMs: number, leftOut = 0): Promise<{ readonly ended: Promise<unknown> }> {
  const before = path.pipeline.inFlight;
  const client = await RawClient.connect(path.port);
  const bytes = requestBytes({ body: '{"model":"other"}', headers: { "x-sluice-timeout-ms": String(timeoutMs) } });
  await client.send(bytes.subarray(0, bytes.length - leftOut));
  await until("it is in flight", () => path.pipeline.inFlight > before);
  const ended = client.response().then((answer) => {
    client.leave();
    seen.push(`${name} ${answer?.status} ${/"code":"(\w+)"/.exec(answer?.body.toString() ?? "")?.[1]}`);
  });
  return { ended };
}

test("requests end when their own time does, also while their bodies are awaited, and not in the order in which they came", async () => {
  const begun = [
    await begin("as configured", 10 * LATE_MS),
    await begin("hanging", 1_200),
    await begin("sending", 200, 2),
    await begin("as configured too", LATE_MS),
  ];
  await Promise.all(begun.map(({ ended }) => ended));
  deepStrictEqual(
    [seen.slice(0, 2), seen.slice(2).toSorted()],
    [
      ["sending 408 body_timeout", "hanging 504 upstream_total_timeout"],
      ["as configured 504 upstream_total_timeout", "as configured too 504 upstream_total_timeout"],
    ],
  );
});
