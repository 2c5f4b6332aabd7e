/**
 * A trial of the program as it is installed now, with the configuration as it is now: a whole gateway, with one worker,
 * in a directory and on ports of its own, that comes up and ends again. Supervisor main thread of the one that runs
 * (runTrial), and of the one on trial (trialConfig).
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { CodedError } from "../base/errors.ts";
import type { Listener } from "../config/listener.ts";
import type { Config } from "../config/schema.ts";
import { storeRefusal } from "../telemetry/sinks/store.ts";
import { HANDOVER_VERSION, type Trial, trialVariable } from "./handover.ts";
import type { Claim } from "./ports.ts";

/** It is given up after this, milliseconds. */
const TRIAL_MS_MAX = 60_000;
/** What is kept of its complaints, characters. */
const COMPLAINT_MAX = 16_384;
const TRIAL_PREFIX = "trial-";
const MAIN_FILE = fileURLToPath(new URL("../main.ts", import.meta.url));

/** The same configuration where it disturbs nobody. Throws CodedError `data_dir_changed` or `store_version`. */
export function trialConfig(config: Config, { directory, dataDir }: Trial): Config {
  if (config.dataDir !== dataDir) {
    const message = `The setting 'data_dir' was changed from ${dataDir}: that needs a stop and a start.`;
    throw new CodedError("data_dir_changed", message);
  }
  // The trial's own store is a new one.
  const refusal = storeRefusal(dataDir);
  if (refusal !== null) throw new CodedError("store_version", refusal);
  return {
    ...config,
    listen: config.listen.map((listener, index) => elsewhere(listener, join(directory, `${index}.sock`))),
    admin: { ...config.admin, port: 0 },
    workers: 1,
    dataDir: directory,
    logLevel: "error",
    accessLogPath: null,
  };
}

function elsewhere(listener: Listener, path: string): Listener {
  const { place } = listener;
  return { ...listener, place: place.kind === "tcp" ? { ...place, port: 0 } : { ...place, path } };
}

/** The ports of a configuration. */
export function claimsOf({ listen, admin }: Config): Claim[] {
  const places = listen.flatMap(({ place }) => (place.kind === "tcp" ? [place] : []));
  return [...places.map((place) => ({ ...place, setting: "listen" })), { ...admin, setting: "admin.listen" }];
}

export function claimText({ host, port }: Claim): string {
  return `${host} ${port}`;
}

/** The command line of this program, as it is found on disk now, by whatever name it was started. */
export function commandLine(): { readonly path: string; readonly argv: readonly string[] } {
  return { path: process.execPath, argv: [process.execPath, ...process.execArgv, MAIN_FILE, ...process.argv.slice(2)] };
}

/** The environment of this program, with `variables` (NAME=value) in it. */
export function environmentWith(variables: readonly string[]): string[] {
  const names = new Set(variables.map((variable) => variable.slice(0, variable.indexOf("="))));
  const own = Object.entries(process.env).filter(([name, value]) => value !== undefined && !names.has(name));
  return [...own.map(([name, value]) => `${name}=${value}`), ...variables];
}

/** With this configuration in force. null: it works; else why it does not. `given` up: it is killed. */
export async function runTrial(running: Config, given: AbortSignal): Promise<string | null> {
  const directory = mkdtempSync(join(running.dataDir, TRIAL_PREFIX));
  const ports = claimsOf(running).map(claimText);
  try {
    const trial = { directory, ports, dataDir: running.dataDir, handoverVersion: HANDOVER_VERSION };
    return await attempt(trial, given);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Of trials that were killed. At the start of the one who holds the data directory. */
export function removeLeftTrials(dataDir: string): void {
  const left = readdirSync(dataDir).filter((name) => name.startsWith(TRIAL_PREFIX));
  for (const name of left) rmSync(join(dataDir, name), { recursive: true, force: true });
}

async function attempt(trial: Trial, signal: AbortSignal): Promise<string | null> {
  const { path, argv } = commandLine();
  const variable = trialVariable(trial);
  const at = variable.indexOf("=");
  const env = { ...process.env, [variable.slice(0, at)]: variable.slice(at + 1), NOTIFY_SOCKET: undefined };
  const child = spawn(path, argv.slice(1), {
    env,
    stdio: ["ignore", "ignore", "pipe"],
    timeout: TRIAL_MS_MAX,
    killSignal: "SIGKILL",
    signal,
  });
  let complaint = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaint = (complaint + text).slice(-COMPLAINT_MAX);
  });
  const [code, killer] = await once(child, "close").catch((error: Error) => [error.message, null]);
  if (code === 0) return null;
  const how = killer === null ? `exit code ${code}` : String(killer);
  return complaint.trim() === "" ? `it ended with ${how}` : complaint.trim();
}
