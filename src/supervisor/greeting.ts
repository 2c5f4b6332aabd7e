/** What `npm start` says once the gateway is ready: where it is, and how to talk to it. Pure. Supervisor. */
import { isIPv6 } from "node:net";
import { assert } from "../base/assert.ts";
import { type Listener, placeText } from "../config/listener.ts";
import type { Config } from "../config/schema.ts";

const ANY_HOST = new Set(["0.0.0.0", "::"]);

/** The URL of an address for a client on this machine. */
export function localUrl({ host, port }: { readonly host: string; readonly port: number }): string {
  const reachable = ANY_HOST.has(host) ? "127.0.0.1" : host;
  return `http://${isIPv6(reachable) ? `[${reachable}]` : reachable}:${port}`;
}

/** Where a program on this machine reaches the gateway most easily. */
function baseUrlOf(listeners: Config["listen"]): string {
  const [best] = listeners.toSorted((a, b) => demandsOf(a) - demandsOf(b));
  assert(best !== undefined, "a configuration has a listener");
  const { place, tls } = best;
  if (place.kind === "unix") return `http://localhost/v1 (${placeText(place)})`;
  return `${tls === null ? "http" : "https"}${localUrl(place).slice("http".length)}/v1`;
}

/** How much a client has to know: a PROXY header, a socket's path, certificates. */
function demandsOf({ place, tls, proxies }: Listener): number {
  return (proxies === null ? 0 : 4) + (place.kind === "unix" ? 2 : 0) + (tls === null ? 0 : 1);
}

/** `key`: of a configuration that was just written; null: it existed, and only hashes are known. */
export function greeting(config: Config, configPath: string, key: string | null): string {
  const baseUrl = baseUrlOf(config.listen);
  const lines = [
    "",
    `Sluice is ready. Configuration: ${configPath}`,
    "",
    `  base URL   ${baseUrl}`,
    `  API key    ${key ?? "as created; another one: npx sluice key create --help"}`,
    `  health     ${localUrl(config.admin)}/health/ready   metrics: ${localUrl(config.admin)}/metrics`,
    ...(key === null ? [] : examples(baseUrl, key, modelOf(config))),
    "",
  ];
  return `${lines.join("\n")}\n`;
}

/** The key of a configuration that was written before the start failed: it is shown once. */
export function keyNotice(configPath: string, key: string): string {
  return `\nA first configuration was written to ${configPath}. Its API key: ${key}\n`;
}

/** A model that answers without a provider's credential, if there is one. */
function modelOf({ models, providers }: Config): string {
  const named = Object.entries(models).filter(([alias]) => alias !== "*");
  const demo = named.find(([, { targets }]) => targets.every(({ provider }) => providers[provider]?.type === "demo"));
  return (demo ?? named[0])?.[0] ?? "gpt-4o-mini";
}

function examples(baseUrl: string, key: string, model: string): string[] {
  const body = JSON.stringify({ model, stream: true, messages: [{ role: "user", content: "Hello, Sluice!" }] });
  return [
    "",
    "Try it:",
    "",
    `  curl -N ${baseUrl}/chat/completions -H 'Authorization: Bearer ${key}' -H 'Content-Type: application/json' -d '${body}'`,
    "",
    "In an OpenAI SDK:",
    "",
    `  client = OpenAI(base_url="${baseUrl}", api_key="${key}")                # Python`,
    `  const client = new OpenAI({ baseURL: "${baseUrl}", apiKey: "${key}" });  // TypeScript`,
    "",
    "The key is shown this once; the configuration holds its hash.",
  ];
}
