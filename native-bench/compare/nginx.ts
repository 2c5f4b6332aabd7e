/** nginx as a plain reverse proxy in front of the mock providers: what forwarding costs when nothing else is done. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Child } from "./child.ts";
import { freePort } from "./free-port.ts";
import type { Mocks } from "./mock.ts";
import { type Contestant, SCENARIOS, type Scenario } from "./scenario.ts";

const READY_DEADLINE_MS = 10_000;
/** Idle connections kept to a provider, per worker: more than any scenario has. */
const KEEPALIVE_CONNECTIONS = 2_048;

function server(mockPort: number, port: number): string {
  return `
  upstream mock_${port} {
    server 127.0.0.1:${mockPort};
    keepalive ${KEEPALIVE_CONNECTIONS};
    keepalive_requests 100000000;
  }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      proxy_pass http://mock_${port};
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }
  }`;
}

function configuration(directory: string, workers: number, servers: readonly string[]): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  return `daemon off;
pid ${directory}/nginx.pid;
error_log stderr warn;
worker_processes ${workers};
worker_rlimit_nofile 16384;
events { worker_connections 8192; }
http {
  access_log off;
  keepalive_requests 100000000;
  ${temporary.map((name) => `${name}_temp_path ${directory}/${name};`).join("\n  ")}${servers.join("")}
}
`;
}

export class Nginx implements Contestant {
  readonly name = "nginx";
  private readonly ports = new Map<Scenario, number>();
  private child: Child | null = null;

  async start(directory: string, workers: number, mocks: Mocks): Promise<void> {
    for (const scenario of SCENARIOS) this.ports.set(scenario, await freePort());
    const servers = SCENARIOS.map((scenario) => server(mocks.port(scenario), this.port(scenario)));
    const file = join(directory, "nginx.conf");
    writeFileSync(file, configuration(directory, workers, servers));
    const child = new Child("nginx", ["-e", "stderr", "-p", directory, "-c", file]);
    this.child = child;
    for (const scenario of SCENARIOS) await child.until(() => answers(this.url(scenario)), READY_DEADLINE_MS);
  }

  private port(scenario: Scenario): number {
    return this.ports.get(scenario) ?? 0;
  }

  pids(): number[] {
    return this.child === null ? [] : [this.child.pid];
  }

  url(scenario: Scenario): string {
    return `http://127.0.0.1:${this.port(scenario)}/v1/chat/completions`;
  }

  async begin(): Promise<void> {}

  async settle(): Promise<void> {}

  async stop(): Promise<void> {
    await this.child?.end("SIGTERM");
  }
}

async function answers(url: string): Promise<boolean> {
  const response = await fetch(url, { method: "POST", body: "{}" }).catch(() => null);
  await response?.arrayBuffer();
  return response?.status === 200;
}
