/** The thread of load-apart.ts: reads the configuration, says what came of it, and ends. */
import { parentPort, workerData } from "node:worker_threads";
import { CodedError } from "../base/errors.ts";
import { requireSameProgram } from "../base/program.ts";
import { loadConfig } from "./load.ts";
import type { Loaded, LoadRequest } from "./load-apart.ts";

function load({ path, env }: LoadRequest): Loaded {
  try {
    requireSameProgram();
    return { config: loadConfig(path, env) };
  } catch (error) {
    if (error instanceof CodedError) return { code: error.code, message: error.message };
    throw error;
  }
}

parentPort?.postMessage(load(workerData));
