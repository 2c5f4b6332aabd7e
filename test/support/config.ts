/** The configuration that tests run Sluice with: a JSON file, which is YAML too. */
import { createHash } from "node:crypto";
import type { Upstream } from "./upstream.ts";

export interface ProviderForm {
  readonly base_url: string;
  readonly credential?: { readonly env: string };
  readonly auth?: string;
  readonly [option: string]: unknown;
}

export interface KeyForm {
  readonly name: string;
  readonly hash: string;
  readonly [option: string]: unknown;
}

export interface ListenerForm {
  readonly address: string;
  readonly [option: string]: unknown;
}

export interface ModelForm {
  readonly provider?: string;
  readonly model?: string;
  readonly targets?: readonly {
    readonly provider: string;
    readonly model?: string;
    readonly [option: string]: unknown;
  }[];
  readonly routes?: readonly Readonly<Record<string, unknown>>[];
  readonly context_window?: number;
  readonly supports?: readonly string[];
  readonly attempts?: number;
  readonly strategy?: string;
  readonly hash_by?: string | Readonly<Record<string, string>>;
  readonly [option: string]: unknown;
}

/** The sections a test may set; the rest is made by sluice.ts. */
export interface ConfigForm {
  /** Instead of the one address that sluice.ts chooses. */
  readonly listen?: readonly (string | ListenerForm)[];
  readonly workers: number;
  readonly limits: Readonly<Record<string, number | string>>;
  readonly load_shedding?: "off" | { readonly delay: string };
  readonly rate_limits?: readonly Readonly<Record<string, unknown>>[];
  readonly rate_limit_queue?: Readonly<Record<string, number | string>>;
  readonly user_header?: string;
  readonly budgets?: readonly Readonly<Record<string, unknown>>[];
  readonly timeouts: Readonly<Record<string, string>>;
  readonly providers: Readonly<Record<string, ProviderForm>>;
  readonly models: Readonly<Record<string, ModelForm>>;
  readonly retries?: Readonly<Record<string, unknown>>;
  readonly breaker?: Readonly<Record<string, string>>;
  readonly passthrough?: string | undefined;
  readonly prices: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly keys: readonly KeyForm[];
}

export const KEY = "sk-sluice-test-0123456789abcdef";
/** The provider's secret: must never be seen by a client or in a log. */
export const CREDENTIAL = "sk-provider-secret-fedcba9876543210";
export const UPSTREAM_MODEL = "upstream-model-2024";
export const PRICE = { input: 2.5, cached_input: 1.25, output: 10 } as const;

export function hashOf(key: string): string {
  return `sha256:${createHash("sha256").update(key).digest("hex")}`;
}

/** One provider, the mock; `gpt-4o` is renamed upstream, the others keep their name. */
export function standardConfig(upstream: Upstream): ConfigForm {
  const kept = { provider: "mock" };
  return {
    workers: 1,
    limits: {},
    // Where a machine stands still for half a second, what a test sends then would be shed: that has tests of its own.
    load_shedding: "off",
    // A test that fails with a stream in flight should not wait for half a minute.
    timeouts: { drain: "5s" },
    providers: { mock: mockProvider(upstream.url) },
    models: {
      "gpt-4o": { provider: "mock", model: UPSTREAM_MODEL },
      "gpt-4o-mini": kept,
      "text-embedding-3-small": kept,
      "omni-moderation-latest": kept,
      "whisper-1": kept,
      "tts-1": kept,
    },
    passthrough: "mock",
    prices: { [UPSTREAM_MODEL]: PRICE },
    keys: [{ name: "default", hash: hashOf(KEY) }],
  };
}

export function mockProvider(url: string): ProviderForm {
  return { base_url: url, credential: { env: "MOCK_KEY" }, auth: "bearer" };
}
