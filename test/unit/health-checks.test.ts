/** Health checks: who makes them, what is asked, what an answer means, and where requests go. */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { ERRORS } from "../../src/base/errors.ts";
import { HEALTH_CHECKS_MAX } from "../../src/base/limits.ts";
import { compileSnapshot } from "../../src/config/compile.ts";
import type { HealthCheckConfig } from "../../src/config/health-check.ts";
import { checkText } from "../../src/config/load.ts";
import { formatProblems } from "../../src/config/problem.ts";
import type { ProviderConfig } from "../../src/config/schema.ts";
import type { HealthCheck, Provider } from "../../src/config/snapshot.ts";
import { type HealthChange, HealthChecks } from "../../src/pipeline/health-checks.ts";
import { claimCheck, isUnhealthy, judge } from "../../src/pipeline/provider-health.ts";
import { chooseAny } from "../../src/pipeline/route.ts";
import type {
  Attempt,
  AttemptListener,
  ResponseHead,
  Transport,
  UpstreamRequest,
} from "../../src/upstream/transport.ts";
import { exchangeOf } from "../support/exchange.ts";
import { configOf, providerConfig, providersOf } from "../support/request-path.ts";

const WALL_MS = 1.8e12;
const CHECK: HealthCheckConfig = {
  path: "/models",
  intervalMs: 10_000,
  timeoutMs: 2_000,
  unhealthyAfter: 3,
  healthyAfter: 2,
  status: { from: 200, to: 399 },
};

function checkOf(): HealthCheck {
  return { ...CHECK, state: new Int32Array(16) };
}

function providers(changes: Partial<ProviderConfig> = {}, count = 1): Provider[] {
  const names = Array.from({ length: count }, (_, i) => `p${i}`);
  const all = Object.fromEntries(names.map((name) => [name, providerConfig(9, { healthCheck: CHECK, ...changes })]));
  const models = Object.fromEntries(
    names.map((provider) => [
      provider,
      { targets: [{ provider, model: "m", weight: 1, priority: 0 }], strategy: "priority" as const, attempts: 1 },
    ]),
  );
  return providersOf(compileSnapshot(configOf(all, "/nowhere", { models, passthrough: null }), 1));
}

test("of many that look, one makes each check, and the next one is an interval later, give or take a tenth", () => {
  const check = checkOf();
  const claims = (atMs: number) => [0, 1, 2, 3].filter(() => claimCheck(check, atMs, 0.5)).length;
  deepStrictEqual(
    [claims(WALL_MS), claims(WALL_MS + 9_900), claims(WALL_MS + 10_100), claims(WALL_MS + 10_100)],
    [1, 0, 1, 0],
  );
  const spread = [0, 0.999].map((chance) => {
    const one = checkOf();
    claimCheck(one, WALL_MS, chance);
    return [8_900, 9_100, 10_900, 11_100].map((afterMs) =>
      claimCheck({ ...one, state: Int32Array.from(one.state) }, WALL_MS + afterMs, 0.5),
    );
  });
  deepStrictEqual(spread, [
    [false, true, true, true],
    [false, false, false, true],
  ]);
  // A clock that was set back does not stop them.
  ok(claimCheck(check, WALL_MS - 1e10, 0.5));
});

test("so many in a row turn it, and one in between begins the count anew", () => {
  const check = checkOf();
  const turns = [false, false, true, false, false, false, true, false, true, true, false].map((good) =>
    judge(check, good),
  );
  deepStrictEqual(
    turns.map((turned, i) => (turned ? i : -1)).filter((i) => i >= 0),
    [5, 9],
  );
  strictEqual(isUnhealthy(check), false);
});

/** A transport that does what it is told. */
class Scripted implements Transport, Attempt {
  readonly spare = true;
  readonly growing = false;
  readonly requests: UpstreamRequest[] = [];
  readonly listeners: AttemptListener[] = [];
  readonly fresh: boolean[] = [];
  cancelled = 0;
  /** While it begins. */
  onSend: (listener: AttemptListener) => void = () => {};

  send(request: UpstreamRequest, listener: AttemptListener, fresh: boolean): Attempt {
    this.requests.push(request);
    this.listeners.push(listener);
    this.fresh.push(fresh);
    this.onSend(listener);
    return this;
  }

  release(): void {}
  pause(): void {}
  resume(): void {}
  cancel(): void {
    this.cancelled += 1;
  }
}

function started(list: Provider[]) {
  const transport = new Scripted();
  const changes: HealthChange[] = [];
  const checks = new HealthChecks({
    transportOf: () => transport,
    chance: () => 0.5,
    tell: (change) => changes.push(change),
  });
  checks.configure(list);
  return { transport, changes, checks };
}

const head = (status: number): ResponseHead => ({
  ...{ status, lines: "", contentType: "", contentEncoding: "", upstreamRequestId: "" },
  ...{ contentLength: 0, closeDelimited: false },
});

test("what is asked has the provider's credential, its path and its query", () => {
  const asked = (changes: Partial<ProviderConfig>) => {
    const { transport, checks } = started(providers(changes));
    checks.sweep(0, WALL_MS);
    return transport.requests[0];
  };
  const plain = asked({ headers: ["x-fixed", "1"], query: "api-version=1" });
  deepStrictEqual([plain?.method, plain?.path, plain?.body], ["GET", "/base/v1/models?api-version=1", null]);
  match(plain?.lines ?? "", /^\r\nauthorization: Bearer \S+\r\nx-fixed: 1\r\naccept: /);
  const models = {
    baseUrl: "http://h/openai/deployments/{model}",
    healthCheck: { ...CHECK, path: "/openai/models?a=1" },
  };
  strictEqual(asked({ ...models, query: "b=2" })?.path, "/openai/models?a=1&b=2");
  const two = ["one", "two"].map((value) => ({ header: "api-key", value, source: value }));
  match(asked({ credentials: two })?.lines ?? "", /^\r\napi-key: one\r\n/);
});

test("statuses outside of the range, failures and silence turn a provider unhealthy, which is told once; answers turn it back", () => {
  const [provider] = providers();
  if (provider === undefined || provider.health === null) throw new Error("none");
  const { transport, changes, checks } = started([provider]);
  let atMs = 0;
  const step = (what: (listener: AttemptListener) => void) => {
    atMs += 20_000;
    checks.sweep(atMs, WALL_MS + atMs);
    const listener = transport.listeners.at(-1);
    if (listener === undefined) throw new Error("nobody asked");
    what(listener);
  };
  step((listener) => listener.onHead(head(500)));
  step((listener) => listener.onFail(ERRORS.upstreamUnreachable, false, "connect ECONNREFUSED"));
  // Our own bounds are no verdict.
  step((listener) => listener.onFail(ERRORS.upstreamQueueFull, false));
  strictEqual(isUnhealthy(provider.health), false);
  const silence = () => checks.sweep(atMs + 2_000, WALL_MS + atMs + 2_000);
  step(silence);
  strictEqual(isUnhealthy(provider.health), false);
  step((listener) => {
    listener.onSent();
    silence();
  });
  strictEqual(isUnhealthy(provider.health), true);
  step((listener) => listener.onHead(head(200)));
  // It has been told of already, and its answer never ends.
  checks.sweep(atMs + 2_000, WALL_MS + atMs + 2_000);
  step((listener) => {
    listener.onHead(head(399));
    listener.onEnd();
  });
  deepStrictEqual(changes, [
    { provider: "p0", healthy: false, cause: "no answer in time" },
    { provider: "p0", healthy: true, cause: "status 399" },
  ]);
  deepStrictEqual([...provider.health.state.subarray(5, 7)], [5, 3]);
  strictEqual(transport.cancelled >= 2, true);
});

test("a connection that turned out to be closed is no failure: it is asked once more on a new one", () => {
  const { transport, checks } = started(providers());
  transport.onSend = (listener) => {
    if (transport.requests.length === 1) listener.onFail(ERRORS.upstreamReset, true);
  };
  checks.sweep(0, WALL_MS);
  deepStrictEqual(transport.fresh, [false, true]);
  transport.listeners[1]?.onFail(ERRORS.upstreamReset, true);
  strictEqual(transport.requests.length, 2);
});

test("so many run at a time, and others as soon as one is over; none after the end", () => {
  const { transport, checks } = started(providers({}, HEALTH_CHECKS_MAX + 3));
  checks.sweep(0, WALL_MS);
  strictEqual(transport.requests.length, HEALTH_CHECKS_MAX);
  transport.listeners[0]?.onEnd();
  checks.sweep(100, WALL_MS + 100);
  strictEqual(transport.requests.length, HEALTH_CHECKS_MAX + 1);
  checks.stop();
  checks.sweep(1e6, WALL_MS + 1e6);
  deepStrictEqual([transport.requests.length, transport.cancelled], [HEALTH_CHECKS_MAX + 1, HEALTH_CHECKS_MAX]);
});

test("requests pass an unhealthy provider over, and where all are unhealthy that is not heeded", () => {
  const main = providerConfig(9, { healthCheck: CHECK });
  const targets = ["a", "b"].map((provider) => ({ provider, model: "m", weight: 1, priority: 0 }));
  const models = { several: { targets, strategy: "priority" as const, attempts: 2 } };
  const snapshot = compileSnapshot(configOf({ a: main, b: main }, "/nowhere", { models, passthrough: null }), 1);
  const route = snapshot.routes.get("several");
  if (route === undefined) throw new Error("no route");
  const chosen = () => {
    const exchange = exchangeOf({ snapshot });
    return chooseAny(exchange, route, WALL_MS, () => 0.5) ? exchange.target?.provider.name : null;
  };
  const fail = (place: number) => {
    const health = route.choices[place]?.target.provider.health;
    for (let i = 0; i < 3; i += 1) if (health) judge(health, false);
  };
  const seen = [chosen()];
  fail(0);
  seen.push(chosen());
  fail(1);
  seen.push(chosen());
  deepStrictEqual(seen, ["a", "b", "a"]);
});

test("what is wrong with a check in the file is found", () => {
  const heads = (check: string) => {
    const text = `providers: { a: { base_url: "http://a", health_check: ${check} } }\n`;
    const { problems } = checkText("/nowhere/f.yaml", text, {});
    return formatProblems("f.yaml", text, problems).split("\n")[0] ?? "";
  };
  strictEqual(heads("{}"), "");
  strictEqual(heads("{ path: /up, interval: 5s, timeout: 5s, unhealthy_after: 1, healthy_after: 1, status: 204 }"), "");
  match(heads("{ path: up }"), /expected a path that begins with \//);
  match(heads("{ status: 399-200 }"), /expected one status or a range of them/);
  match(heads("{ interval: 1s }"), /this must not be longer than the interval$/);
  match(heads("{ intervall: 1s }"), /did you mean 'interval'\?$/);
  match(heads("{ unhealthy_after: 0 }"), /f\.yaml:1:/);
  match(heads("on"), /expected a mapping/);
});
