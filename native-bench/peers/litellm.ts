/**
 * LiteLLM's proxy: a Python program with as many worker processes as Sluice, its master key checked on each request, as Sluice
 * checks keys. No database, so no records and no budgets.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Contestant, Setting } from "../contestant.ts";
import { install } from "./cache.ts";
import { CHAT_PATH, Peer, type PreparedPeer } from "./peer.ts";
import { fillFromPip, python } from "./python-package.ts";

const NAME = "litellm";
export const VERSION = "1.82.6";
/** Releases that were published by somebody else and steal credentials. Never to be installed. */
export const COMPROMISED = ["1.82.7", "1.82.8"];
const MODEL = "gpt-4o";
const KEY = "mock-key";
const READY_DEADLINE_MS = 120_000;
const RUN = "from litellm import run_server; run_server()";

export async function litellm(cache: string, signal: AbortSignal): Promise<Contestant> {
  const requirement = `litellm[proxy]==${VERSION}`;
  const fill = (into: string) => fillFromPip(into, { peer: NAME, requirement, distribution: NAME, signal });
  const { directory, versions } = await install(cache, { name: NAME, version: VERSION, fill });
  const prepare = (setting: Setting, port: number) => preparedLitellm(directory, setting, port);
  return new Peer({ name: NAME, versions, readyDeadlineMs: READY_DEADLINE_MS, prepare });
}

export function preparedLitellm(directory: string, setting: Setting, port: number): PreparedPeer {
  const [config, logging] = [join(setting.directory, "config.yaml"), join(setting.directory, "logging.json")];
  // JSON is YAML.
  writeFileSync(config, JSON.stringify(configuration(setting.mockPort)));
  writeFileSync(logging, JSON.stringify(LOGGING));
  const address = ["--host", "127.0.0.1", "--port", `${port}`, "--num_workers", `${setting.workers}`];
  const files = ["--config", config, "--log_config", logging];
  return {
    program: {
      command: python(directory),
      args: ["-c", RUN, ...files, ...address, "--telemetry", "False"],
      // Without the first it fetches its list of prices at the start.
      environment: { LITELLM_LOCAL_MODEL_COST_MAP: "True", LITELLM_LOG: "ERROR" },
    },
    endpoint: { port, path: CHAT_PATH, headers: [["authorization", `Bearer ${KEY}`]], model: MODEL },
  };
}

function configuration(mockPort: number) {
  const parameters = { model: `openai/${MODEL}`, api_base: `http://127.0.0.1:${mockPort}/v1`, api_key: "mock" };
  return {
    model_list: [{ model_name: MODEL, litellm_params: parameters }],
    general_settings: { master_key: KEY },
  };
}

/** Python's logging configuration: without it its web server writes a line per request. */
const LOGGING = {
  version: 1,
  disable_existing_loggers: false,
  handlers: { errors: { class: "logging.StreamHandler", stream: "ext://sys.stderr" } },
  root: { level: "ERROR", handlers: ["errors"] },
  loggers: { uvicorn: { level: "ERROR" }, "uvicorn.access": { level: "ERROR" }, "uvicorn.error": { level: "ERROR" } },
};
