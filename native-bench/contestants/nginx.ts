/** nginx as a plain reverse proxy in front of the mock provider: what forwarding costs when nothing else is done. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Contestant, Endpoint, Setting } from "../contestant.ts";
import { isInstalled } from "../runner/requirement.ts";
import { answers } from "./answers.ts";
import { Child } from "./child.ts";
import { freePort } from "./free-port.ts";

const READY_DEADLINE_MS = 10_000;
/** Idle connections kept to the provider, per worker: more than any scenario has. */
const KEEPALIVE_CONNECTIONS = 4_096;
const PATH = "/v1/chat/completions";

/** Bodies are held in memory, as the gateways do it: nginx's default would write those over 16 KB to files. */
function configuration({ directory, mockPort, workers }: Setting, port: number): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  return `daemon off;
pid ${directory}/nginx.pid;
error_log stderr warn;
worker_processes ${workers};
worker_rlimit_nofile 20000;
events { worker_connections 16384; }
http {
  access_log off;
  keepalive_requests 100000000;
  client_max_body_size 32m;
  client_body_buffer_size 2m;
  ${temporary.map((name) => `${name}_temp_path ${directory}/${name};`).join("\n  ")}
  upstream mock {
    server 127.0.0.1:${mockPort} max_fails=0;
    keepalive ${KEEPALIVE_CONNECTIONS};
    keepalive_requests 100000000;
  }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      proxy_pass http://mock;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }
  }
}
`;
}

export class Nginx implements Contestant {
  readonly name = "nginx";
  #child: Child | null = null;
  #port = 0;

  /** Null when it can be started; else what to do. */
  static missing(): string | null {
    return isInstalled("nginx", "-v")
      ? null
      : "nginx is not in PATH: apt install nginx-light (its service need not run)";
  }

  async start(setting: Setting): Promise<void> {
    this.#port = await freePort();
    const file = join(setting.directory, "nginx.conf");
    writeFileSync(file, configuration(setting, this.#port));
    this.#child = new Child("nginx", ["-e", "stderr", "-p", setting.directory, "-c", file]);
    await this.#child.until(() => answers(this.endpoint), READY_DEADLINE_MS);
  }

  pids(): number[] {
    return this.#child === null ? [] : [this.#child.pid];
  }

  get endpoint(): Endpoint {
    return { port: this.#port, path: PATH, headers: [], model: "gpt-4o" };
  }

  /** "nginx version: nginx/1.22.1" on standard error. */
  versions(): Record<string, string> {
    const { stderr } = spawnSync("nginx", ["-v"], { encoding: "utf8" });
    return { nginx: stderr.split("/").at(-1)?.trim() ?? "unknown" };
  }

  async stop(): Promise<void> {
    await this.#child?.end("SIGTERM");
  }
}
