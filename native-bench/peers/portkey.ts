/**
 * Portkey's gateway: a Node program of one process. It runs on the Node that runs Sluice, and with as many processes as Sluice
 * has workers, by Node's own cluster (portkey-server.ts). It has no keys, limits or records of its own to switch on.
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Contestant, Setting } from "../contestant.ts";
import { install } from "./cache.ts";
import { fillFromNpm, npmVersion } from "./npm-package.ts";
import { CHAT_PATH, Peer, type PreparedPeer } from "./peer.ts";

const NAME = "portkey";
const GATEWAY = "@portkey-ai/gateway";
const SERVER = "@hono/node-server";
export const VERSION = "1.15.2";
/**
 * The newest that the gateway works with: since 1.14.0 every stream is answered with 500, "TypeError: immutable", because the
 * headers of the provider's answer are no longer copied before the gateway adds its own.
 */
export const SERVER_VERSION = "1.13.8";
const LAUNCHER = fileURLToPath(new URL("portkey-server.ts", import.meta.url));
const READY_DEADLINE_MS = 30_000;

export async function portkey(cache: string, signal: AbortSignal): Promise<Contestant> {
  const version = `${VERSION}-${SERVER_VERSION}`;
  const filled = (directory: string) => fill(directory, signal);
  const { directory, versions } = await install(cache, { name: NAME, version, fill: filled });
  const prepare = (setting: Setting, port: number) => preparedPortkey(directory, setting, port);
  return new Peer({ name: NAME, versions, readyDeadlineMs: READY_DEADLINE_MS, prepare });
}

async function fill(directory: string, signal: AbortSignal) {
  const [dependencies, overrides] = [{ [GATEWAY]: VERSION }, { [SERVER]: SERVER_VERSION }];
  await fillFromNpm(directory, { peer: NAME, dependencies, overrides, signal });
  return { [NAME]: npmVersion(directory, GATEWAY), [SERVER]: npmVersion(directory, SERVER) };
}

export function preparedPortkey(directory: string, { mockPort, workers }: Setting, port: number): PreparedPeer {
  const server = join(directory, "node_modules", GATEWAY, "build", "start-server.js");
  const launch = ["--disable-warning=ExperimentalWarning", LAUNCHER, server, `${workers}`];
  return {
    program: {
      command: process.execPath,
      args: [...launch, `--port=${port}`, "--headless"],
      environment: { NODE_ENV: "production" },
    },
    endpoint: {
      port,
      path: CHAT_PATH,
      headers: [
        ["authorization", "Bearer mock"],
        ["x-portkey-provider", "openai"],
        ["x-portkey-custom-host", `http://127.0.0.1:${mockPort}/v1`],
      ],
      model: "gpt-4o",
    },
  };
}
