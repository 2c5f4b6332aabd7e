/** What the load generator is to do to one contestant in one scenario, with the answers it is to expect. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Contestant, Endpoint } from "../contestant.ts";
import type { LoadRequest, LoadSite, LoadSpec } from "./load.ts";
import { ask, expectationOf } from "./probe.ts";
import { bodyOf, writeRequests } from "./request-file.ts";
import type { Scenario } from "./scenario.ts";

const DRAIN_MS = 10_000;
const TIMEOUT_MS = 10_000;
/** An interval of the log: several per turn, so that a log shows how a turn went. */
const INTERVAL_MS = 500;

export interface SpecificationSite extends LoadSite {
  /** Of the mock provider: what it answers is what a contestant must answer. */
  readonly direct: Endpoint;
  readonly warmUpSeconds: number;
  readonly seconds: number;
}

/** Where requests of the scenario go; null: the contestant is not set up for such. */
export function endpointIn({ upstream }: Pick<Scenario, "upstream">, contestant: Contestant): Endpoint | null {
  return upstream === "http" ? contestant.endpoint : (contestant.secureEndpoint ?? null);
}

/** Asks the mock and the contestant; throws where they do not say the same. */
export async function specificationOf(
  scenario: Scenario,
  contestant: Contestant,
  site: SpecificationSite,
): Promise<LoadSpec> {
  const { mode, requestsPerConnection, abort = null, idleConnections } = scenario;
  const endpoint = endpointIn(scenario, contestant);
  if (endpoint === null) throw new Error("it is not set up for providers with TLS");
  return {
    target: { host: "127.0.0.1", port: endpoint.port },
    requests: await requestsOf(scenario, endpoint, { ...site, directory: join(site.directory, contestant.name) }),
    mode,
    warmUpMs: site.warmUpSeconds * 1_000,
    durationMs: site.seconds * 1_000,
    drainMs: DRAIN_MS,
    timeoutMs: TIMEOUT_MS,
    intervalMs: INTERVAL_MS,
    requestsPerConnection,
    abort,
    idleConnections,
    threads: 1,
    holdMs: 0,
  };
}

/** Each with what the mock answers to it, and this contestant. */
async function requestsOf(
  scenario: Scenario,
  endpoint: Endpoint,
  { directory, direct, signal }: SpecificationSite,
): Promise<LoadRequest[]> {
  const own = join(directory, scenario.name);
  mkdirSync(own, { recursive: true });
  const headers = [["content-type", "application/json"], ...endpoint.headers] as const;
  const requests: LoadRequest[] = [];
  for (const { kind, path, body } of writeRequests(own, endpoint.model, scenario.requests)) {
    const reference = await ask(direct, bodyOf(direct.model, kind), signal);
    const expect = await expectationOf(endpoint, body, reference, signal);
    const { weight, name = null } = kind;
    requests.push({ name, weight, method: "POST", path: endpoint.path, headers, bodyFile: path, expect });
  }
  return requests;
}
