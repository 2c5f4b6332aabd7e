/** A configuration with short timeouts and a model for each way in which a provider cannot be reached. */
import { type ConfigForm, hashOf, KEY, mockProvider, standardConfig } from "./config.ts";
import type { Upstream } from "./upstream.ts";

export const SHORT_TIMEOUTS = {
  connect: "300ms",
  first_byte: "300ms",
  idle: "300ms",
  total: "1200ms",
  queue: "300ms",
  stall: "500ms",
  upstream_keep_alive: "1s",
};

export function faultyConfig(upstream: Upstream, transport = "auto"): Partial<ConfigForm> {
  const standard = standardConfig(upstream);
  const provider = (url: string) => ({ ...mockProvider(url), transport });
  return {
    timeouts: SHORT_TIMEOUTS,
    providers: {
      mock: provider(upstream.url),
      dead: provider("http://127.0.0.1:1/v1"),
      untrusted: provider(upstream.tlsUrl),
      "not-tls": provider(upstream.notTlsUrl),
      silent: provider(upstream.silentUrl),
    },
    models: {
      ...standard.models,
      dead: { provider: "dead" },
      untrusted: { provider: "untrusted" },
      "not-tls": { provider: "not-tls" },
      silent: { provider: "silent" },
    },
    keys: [
      { name: "default", hash: hashOf(KEY) },
      { name: "off", hash: hashOf("sk-off"), enabled: false },
      { name: "old", hash: hashOf("sk-old"), expires: "2020-01-01T00:00:00Z" },
      { name: "narrow", hash: hashOf("sk-narrow"), models: ["gpt-4o-mini"] },
    ],
  };
}
