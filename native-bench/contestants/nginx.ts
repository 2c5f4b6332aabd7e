/** nginx as a plain reverse proxy in front of the mock provider: what forwarding costs when nothing else is done. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Contestant, Endpoint, SecureMock, Setting } from "../contestant.ts";
import { isInstalled } from "../runner/requirement.ts";
import { answers } from "./answers.ts";
import { Child } from "./child.ts";
import { freePort } from "./free-port.ts";

const READY_DEADLINE_MS = 10_000;
/** Idle connections kept to the provider, per worker: more than any scenario has. */
const KEEPALIVE_CONNECTIONS = 4_096;
const PATH = "/v1/chat/completions";

interface Ports {
  readonly plain: number;
  /** 0: no provider with TLS. */
  readonly secure: number;
}

/** Bodies are held in memory, as the gateways do it: nginx's default would write those over 16 KB to files. */
function configuration({ directory, mockPort, secureMock, workers }: Setting, ports: Ports): string {
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
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_buffering off;
${upstream("mock", mockPort)}
${server(ports.plain, "proxy_pass http://mock;")}
${secureMock === undefined ? "" : secureServer(secureMock, ports.secure)}
}
`;
}

function upstream(name: string, port: number): string {
  return `  upstream ${name} {
    server 127.0.0.1:${port} max_fails=0;
    keepalive ${KEEPALIVE_CONNECTIONS};
    keepalive_requests 100000000;
  }`;
}

function server(port: number, directives: string): string {
  return `  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / { ${directives} }
  }`;
}

/**
 * As gateways do it: the certificate is checked, for the name that it has besides its address, because nginx checks names only. TLS 1.3 is
 * not among its own defaults for providers.
 */
function secureServer({ port, caFile }: SecureMock, ownPort: number): string {
  const directives = [
    "proxy_pass https://secure_mock;",
    "proxy_ssl_protocols TLSv1.2 TLSv1.3;",
    "proxy_ssl_session_reuse on;",
    "proxy_ssl_verify on;",
    `proxy_ssl_trusted_certificate ${caFile};`,
    "proxy_ssl_name localhost;",
  ];
  return [upstream("secure_mock", port), server(ownPort, directives.join(" "))].join("\n");
}

export class Nginx implements Contestant {
  readonly name = "nginx";
  #child: Child | null = null;
  #ports: Ports = { plain: 0, secure: 0 };

  /** Null when it can be started; else what to do. */
  static missing(): string | null {
    return isInstalled("nginx", "-v")
      ? null
      : "nginx is not in PATH: apt install nginx-light (its service need not run)";
  }

  async start(setting: Setting): Promise<void> {
    this.#ports = { plain: await freePort(), secure: setting.secureMock === undefined ? 0 : await freePort() };
    const file = join(setting.directory, "nginx.conf");
    writeFileSync(file, configuration(setting, this.#ports));
    this.#child = new Child("nginx", ["-e", "stderr", "-p", setting.directory, "-c", file]);
    await this.#child.until(() => answers(this.endpoint), READY_DEADLINE_MS);
  }

  pids(): number[] {
    return this.#child === null ? [] : [this.#child.pid];
  }

  get endpoint(): Endpoint {
    return { port: this.#ports.plain, path: PATH, headers: [], model: "gpt-4o" };
  }

  get secureEndpoint(): Endpoint | null {
    return this.#ports.secure === 0 ? null : { ...this.endpoint, port: this.#ports.secure };
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
