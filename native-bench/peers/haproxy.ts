/** HAProxy as a plain reverse proxy: what forwarding costs when nothing else is done, with another program than nginx. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Contestant, Setting } from "../contestant.ts";
import { CHAT_PATH, Peer, type PreparedPeer } from "./peer.ts";
import { Unavailable } from "./unavailable.ts";

const NAME = "haproxy";
const READY_DEADLINE_MS = 10_000;
/** On either side: more than any scenario has. */
const CONNECTIONS_MAX = 8_000;

export async function haproxy(): Promise<Contestant> {
  const { error, stdout } = spawnSync(NAME, ["-v"], { encoding: "utf8" });
  if (error !== undefined) throw new Unavailable(NAME, "haproxy is not in PATH: apt install haproxy", error);
  const version = /version (\S+)/.exec(stdout)?.[1] ?? "unknown";
  return new Peer({
    name: NAME,
    versions: { [NAME]: version },
    readyDeadlineMs: READY_DEADLINE_MS,
    prepare: preparedHaproxy,
  });
}

export function preparedHaproxy(setting: Setting, port: number): PreparedPeer {
  const file = join(setting.directory, "haproxy.cfg");
  writeFileSync(file, configuration(setting, port));
  return {
    program: { command: NAME, args: ["-db", "-f", file], environment: {} },
    endpoint: { port, path: CHAT_PATH, headers: [], model: "gpt-4o" },
  };
}

/**
 * Keep-alive on both sides; connections to the provider are kept and shared, however many are idle. Without http-no-delay it holds
 * the events of a stream back for 200 ms.
 */
function configuration({ mockPort, workers }: Setting, port: number): string {
  return `global
  nbthread ${workers}
  maxconn ${CONNECTIONS_MAX}
defaults
  mode http
  option http-keep-alive
  option http-no-delay
  http-reuse always
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend clients
  bind 127.0.0.1:${port} backlog 4096
  default_backend mock
backend mock
  server mock 127.0.0.1:${mockPort} pool-max-conn -1 pool-purge-delay 60s
`;
}
