/**
 * Ferro's AI gateway, a Go program: one process with as many running threads as Sluice has workers (GOMAXPROCS). It asks for no
 * key; it listens on all addresses of the machine, which it has no option for.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Contestant, Setting } from "../contestant.ts";
import { install } from "./cache.ts";
import { fillFromGo, goProgram } from "./go-module.ts";
import { CHAT_PATH, Peer, type PreparedPeer } from "./peer.ts";

const NAME = "ferro";
const PROGRAM = {
  peer: NAME,
  module: "github.com/ferro-labs/ai-gateway",
  version: "v1.4.1",
  main: "./cmd/ferrogw",
  cgo: false,
};
const READY_DEADLINE_MS = 60_000;
const CONFIGURATION = { strategy: { mode: "single" }, targets: [{ virtual_key: "openai" }] };

export async function ferro(cache: string, signal: AbortSignal): Promise<Contestant> {
  const fill = (into: string) => fillFromGo(into, PROGRAM, signal);
  const { directory, versions } = await install(cache, { name: NAME, version: PROGRAM.version, fill });
  const prepare = (setting: Setting, port: number) => preparedFerro(directory, setting, port);
  return new Peer({ name: NAME, versions, readyDeadlineMs: READY_DEADLINE_MS, prepare });
}

export function preparedFerro(directory: string, setting: Setting, port: number): PreparedPeer {
  const config = join(setting.directory, "config.yaml");
  // JSON is YAML.
  writeFileSync(config, JSON.stringify(CONFIGURATION));
  const environment = {
    GATEWAY_CONFIG: config,
    OPENAI_BASE_URL: `http://127.0.0.1:${setting.mockPort}/v1`,
    OPENAI_API_KEY: "mock",
    ALLOW_UNAUTHENTICATED_PROXY: "true",
    PORT: `${port}`,
    LOG_LEVEL: "error",
    // It would fetch its list of models at the start.
    FERRO_MODEL_CATALOG_TIMEOUT: "0",
    GOMAXPROCS: `${setting.workers}`,
  };
  return {
    program: { command: goProgram(directory), args: [], environment },
    endpoint: { port, path: CHAT_PATH, headers: [["authorization", "Bearer mock"]], model: "gpt-4o" },
  };
}
