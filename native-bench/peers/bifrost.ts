/**
 * Bifrost's HTTP gateway, a Go program: one process with as many running threads as Sluice has workers (GOMAXPROCS). It asks for
 * no key.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Contestant, Setting } from "../contestant.ts";
import { install } from "./cache.ts";
import { fillFromGo, goProgram } from "./go-module.ts";
import { CHAT_PATH, Peer, type PreparedPeer } from "./peer.ts";

const NAME = "bifrost";
const MODEL = "gpt-4o";
const MAIN = "bifrost-http";
const PROGRAM = {
  peer: NAME,
  module: "github.com/maximhq/bifrost/transports",
  version: "v1.5.7",
  main: `./${MAIN}`,
  // For SQLite.
  cgo: true,
  complete: addPages,
};
const READY_DEADLINE_MS = 60_000;

export async function bifrost(cache: string, signal: AbortSignal): Promise<Contestant> {
  const fill = (into: string) => fillFromGo(into, PROGRAM, signal);
  const { directory, versions } = await install(cache, { name: NAME, version: PROGRAM.version, fill });
  const prepare = (setting: Setting, port: number) => preparedBifrost(directory, setting, port);
  return new Peer({ name: NAME, versions, readyDeadlineMs: READY_DEADLINE_MS, prepare });
}

/** The program embeds the pages of its dashboard, which are built in its repository and not part of the module. */
export function addPages(sources: string): void {
  const pages = join(sources, MAIN, "ui");
  mkdirSync(pages, { recursive: true });
  writeFileSync(join(pages, "index.html"), "<!doctype html>\n");
}

export function preparedBifrost(directory: string, setting: Setting, port: number): PreparedPeer {
  writeFileSync(join(setting.directory, "config.json"), JSON.stringify(configuration(setting.mockPort)));
  const address = ["--host", "127.0.0.1", "--port", `${port}`];
  return {
    program: {
      command: goProgram(directory),
      args: ["--app-dir", setting.directory, ...address, "--log-level", "error"],
      environment: { GOMAXPROCS: `${setting.workers}` },
    },
    // It chooses the provider by the prefix, and takes it off.
    endpoint: { port, path: CHAT_PATH, headers: [["authorization", "Bearer mock"]], model: `openai/${MODEL}` },
  };
}

function configuration(mockPort: number) {
  const key = { name: "mock", value: "mock", models: [MODEL], weight: 1 };
  // Without the version's path, which it adds.
  const network = { base_url: `http://127.0.0.1:${mockPort}` };
  return { providers: { openai: { keys: [key], network_config: network } } };
}
