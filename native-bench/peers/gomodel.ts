/**
 * GoModel, a Go program: one process with as many running threads as Sluice has workers (GOMAXPROCS). Its usage records go into
 * SQLite, as Sluice's do; its audit log of whole bodies is off. It asks for no key; it listens on all addresses of the machine,
 * which it has no option for.
 */
import { join } from "node:path";
import type { Contestant, Setting } from "../contestant.ts";
import { install } from "./cache.ts";
import { fillFromGo, goProgram } from "./go-module.ts";
import { CHAT_PATH, Peer, type PreparedPeer } from "./peer.ts";

const NAME = "gomodel";
const MODEL = "gpt-4o";
const PROGRAM = {
  peer: NAME,
  module: "github.com/enterpilot/gomodel",
  version: "v0.1.94",
  main: "./cmd/gomodel",
  cgo: false,
};
const READY_DEADLINE_MS = 60_000;

export async function gomodel(cache: string, signal: AbortSignal): Promise<Contestant> {
  const fill = (into: string) => fillFromGo(into, PROGRAM, signal);
  const { directory, versions } = await install(cache, { name: NAME, version: PROGRAM.version, fill });
  const prepare = (setting: Setting, port: number) => preparedGomodel(directory, setting, port);
  return new Peer({ name: NAME, versions, readyDeadlineMs: READY_DEADLINE_MS, prepare });
}

export function preparedGomodel(directory: string, setting: Setting, port: number): PreparedPeer {
  const environment = {
    PORT: `${port}`,
    OPENAI_API_KEY: "mock",
    OPENAI_BASE_URL: `http://127.0.0.1:${setting.mockPort}/v1`,
    OPENAI_MODELS: MODEL,
    CONFIGURED_PROVIDER_MODELS_MODE: "allowlist",
    LOG_LEVEL: "error",
    LOGGING_ENABLED: "false",
    // No calls of its own: no look for a newer version, no list of models.
    GOMODEL_OFFLINE: "true",
    GOMODEL_CACHE_DIR: join(setting.directory, "cache"),
    SQLITE_PATH: join(setting.directory, "gomodel.db"),
    PID_FILE: join(setting.directory, "gomodel.pid"),
    GOMAXPROCS: `${setting.workers}`,
  };
  return {
    program: { command: goProgram(directory), args: [], environment },
    endpoint: { port, path: CHAT_PATH, headers: [["authorization", "Bearer mock"]], model: MODEL },
  };
}
