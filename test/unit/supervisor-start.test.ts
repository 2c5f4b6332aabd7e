/** What surrounds the workers: ports, greeting, signals, readiness. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { after, type TestContext, test } from "node:test";
import { freePort } from "../../native-bench/contestants/free-port.ts";
import type { Config } from "../../src/config/schema.ts";
import { greeting, localUrl } from "../../src/supervisor/greeting.ts";
import { requireFreePorts } from "../../src/supervisor/ports.ts";
import { Signals } from "../../src/supervisor/signals.ts";
import { Status } from "../../src/supervisor/status.ts";
import type { LatencyRotation } from "../../src/telemetry/latency/rotation.ts";
import type { Metrics } from "../../src/telemetry/metrics.ts";

const HOST = "127.0.0.1";

test("free ports are free afterwards", async () => {
  const port = await freePort();
  await requireFreePorts([{ host: HOST, port, setting: "listen" }]);
  await requireFreePorts([{ host: HOST, port, setting: "listen" }]);
});

test("a port of another program is refused with its number and setting, also when that one shares it", async () => {
  const other = createServer().listen({ port: 0, host: HOST, reusePort: true });
  after(() => other.close());
  await once(other, "listening");
  const { port } = other.address() as AddressInfo;
  const refused = requireFreePorts([{ host: HOST, port, setting: "admin.listen" }]);
  await assert.rejects(refused, { code: "port_unusable", message: new RegExp(`port ${port} .*'admin\\.listen'`) });
});

test("a port that two settings share is refused", async () => {
  const port = await freePort();
  const claims = ["listen", "admin.listen"].map((setting) => ({ host: HOST, port, setting }));
  await assert.rejects(requireFreePorts(claims), { code: "port_unusable" });
});

test("an address that is not of this machine is refused", async () => {
  const refused = requireFreePorts([{ host: "192.0.2.1", port: 8081, setting: "listen" }]);
  await assert.rejects(refused, { code: "port_unusable", message: /does not have the address/ });
});

const CONFIG = {
  listen: [{ place: { kind: "tcp", host: "0.0.0.0", port: 8081 }, tls: null, proxies: null }],
  admin: { host: "::1", port: 8080 },
  providers: { openai: { type: "openai" }, demo: { type: "demo" } },
  models: {
    "*": { targets: [{ provider: "openai" }] },
    "gpt-4o": { targets: [{ provider: "openai" }] },
    "demo-chat": { targets: [{ provider: "demo" }] },
  },
} as unknown as Config;

test("URLs are those that a client on this machine can use", () => {
  assert.equal(localUrl({ host: "0.0.0.0", port: 1 }), "http://127.0.0.1:1");
  assert.equal(localUrl({ host: "::1", port: 1 }), "http://[::1]:1");
});

test("the first greeting has the key, a curl line for a model that answers, and SDK lines", () => {
  const text = greeting(CONFIG, "sluice.yaml", "sk-sluice-new");
  assert.match(text, /curl -N http:\/\/127\.0\.0\.1:8081\/v1\/chat\/completions .*Bearer sk-sluice-new'.*"demo-chat"/);
  assert.match(text, /base_url="http:\/\/127\.0\.0\.1:8081\/v1", api_key="sk-sluice-new"/);
  assert.equal(/-d '([^']*)'/.exec(text)?.[1]?.startsWith('{"model"'), true);
});

test("later greetings know no key", () => {
  assert.doesNotMatch(greeting(CONFIG, "sluice.yaml", null), /curl|Bearer/);
});

/** The signals are emitted as events of this process: none is sent. */
function listening(context: TestContext, clock: () => number = () => 0): string[] {
  const told: string[] = [];
  const actions = {
    reload: () => void told.push("reload"),
    reopen: () => void told.push("reopen"),
    stop: (signal: string) => void told.push(`stop ${signal}`),
    endNow: (signal: string) => void told.push(`now ${signal}`),
  };
  const signals = new Signals(actions, clock);
  context.after(() => signals.close());
  return told;
}

test("signals mean what the operator expects", (context) => {
  const told = listening(context);
  for (const signal of ["SIGHUP", "SIGUSR2", "SIGTERM"] as const) process.emit(signal, signal);
  assert.deepEqual(told, ["reload", "reopen", "stop SIGTERM"]);
});

test("one Ctrl-C that arrives twice is one, a later one ends at once", (context) => {
  let now = 1_000;
  const told = listening(context, () => now);
  process.emit("SIGINT", "SIGINT");
  process.emit("SIGINT", "SIGINT");
  now += 5_000;
  process.emit("SIGTERM", "SIGTERM");
  assert.deepEqual(told, ["stop SIGINT", "now SIGTERM"]);
});

test("ready is: started, not stopping, and somebody serves", () => {
  const metrics = { setWorkersUp: () => {} } as unknown as Metrics;
  const status = new Status("1", metrics, {} as unknown as LatencyRotation);
  status.setServing(2);
  assert.equal(status.readiness().ready, false);
  status.phase = "running";
  assert.equal(status.readiness().ready, true);
  status.setServing(0);
  assert.deepEqual(status.readiness(), { ready: false, reason: "no worker serves" });
  status.setServing(2);
  status.phase = "stopping";
  assert.deepEqual(status.readiness(), { ready: false, reason: "stopping" });
});
