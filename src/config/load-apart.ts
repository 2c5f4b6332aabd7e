/**
 * loadConfig() in a thread that ends with it: parser and schema would hold 15 MB for the life of the gateway, for a few milliseconds
 * of work. Supervisor main thread. As for all threads, nothing is loaded from the files of another program.
 */
import { Worker } from "node:worker_threads";
import { CodedError } from "../base/errors.ts";
import { PROGRAM, requireSameProgram } from "../base/program.ts";
import type { Config } from "./schema.ts";

export interface LoadRequest {
  readonly path: string;
  readonly env: NodeJS.ProcessEnv;
  readonly program: string;
}

export type Loaded = { readonly config: Config } | { readonly code: string; readonly message: string };

/** Rejects with CodedError: those of loadConfig(), without their cause, and `program_changed`. */
export async function loadConfigApart(path: string, env: NodeJS.ProcessEnv): Promise<Config> {
  requireSameProgram({ program: PROGRAM });
  const request: LoadRequest = { path, env: { ...env }, program: PROGRAM };
  const loaded = await inThread(request);
  if ("config" in loaded) return loaded.config;
  throw new CodedError(loaded.code, loaded.message);
}

/** Resolves when the thread is gone. */
async function inThread(workerData: LoadRequest): Promise<Loaded> {
  const execArgv = ["--disable-warning=ExperimentalWarning"];
  const thread = new Worker(new URL("./load-thread.ts", import.meta.url), { workerData, execArgv });
  const { promise, resolve, reject } = Promise.withResolvers<Loaded>();
  let loaded: Loaded | null = null;
  thread.once("message", (message: Loaded) => {
    loaded = message;
  });
  thread.once("error", reject);
  thread.once("exit", () => (loaded === null ? reject(new Error("the thread ended without a word")) : resolve(loaded)));
  return promise;
}
