/** One mock provider and one Sluice for a test file; both end with it. */
import { deepStrictEqual } from "node:assert/strict";
import { after, afterEach, beforeEach } from "node:test";
import OpenAI, { type ClientOptions } from "openai";
import type { ConfigForm } from "./config.ts";
import { Sluice } from "./sluice.ts";
import { Upstream } from "./upstream.ts";

export interface Stage {
  readonly upstream: Upstream;
  readonly sluice: Sluice;
}

/** Starts both. The upstream's journal is empty at the beginning of each test, and has no fault of the gateway at its end. */
export async function startStage(changes: (upstream: Upstream) => Partial<ConfigForm> = () => ({})): Promise<Stage> {
  const upstream = await Upstream.start();
  beforeEach(() => upstream.reset());
  afterEach(async () => deepStrictEqual((await upstream.journal()).faults, []));
  const sluice = await Sluice.start(upstream, changes(upstream));
  after(async () => {
    await sluice.stop();
    await upstream.stop();
  });
  return { upstream, sluice };
}

/** The official SDK, told only the base URL and the key; no retries unless the test wants them. */
export function sdkOf(sluice: Sluice, options: ClientOptions = {}): OpenAI {
  return new OpenAI({ baseURL: sluice.baseUrl, apiKey: sluice.key, maxRetries: 0, ...options });
}

/** Request options that ask the mock for a fault. */
export function mocked(fault: string): { headers: Record<string, string> } {
  return { headers: { "x-mock": fault } };
}
