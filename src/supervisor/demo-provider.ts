/**
 * The demo server behind demo providers: started when the first configuration needs it, and kept until the end, because
 * requests to it may outlive the configuration. Supervisor main thread.
 */
import type { Config, ProviderConfig } from "../config/schema.ts";
import { type DemoServer, openDemoServer } from "../demo/server.ts";

export class DemoProvider {
  #server: DemoServer | null = null;

  /** The configuration with the demo providers' base URL filled in. */
  async fillIn(config: Config): Promise<Config> {
    const entries = Object.entries(config.providers);
    if (!entries.some(([, provider]) => provider.type === "demo")) return config;
    this.#server ??= await openDemoServer();
    const { url } = this.#server;
    const filled = (provider: ProviderConfig) => (provider.type === "demo" ? { ...provider, baseUrl: url } : provider);
    return { ...config, providers: Object.fromEntries(entries.map(([name, provider]) => [name, filled(provider)])) };
  }

  async close(): Promise<void> {
    await this.#server?.close();
  }
}
