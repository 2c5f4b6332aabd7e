/**
 * A machine with the service installed, as far as commands of the documentation need one: its directories are below a temporary one
 * and its ports are free ones, so texts that name the real ones are rewritten; the service is what the unit says, started, reloaded
 * and ended by this process in the place of systemd. What it cannot show is what systemd itself does.
 */
import { strictEqual } from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { freePort } from "../../native-bench/contestants/free-port.ts";
import { packagedConfig } from "../../src/config/first.ts";
import { Program, ROOT } from "../support/program.ts";
import { until } from "../support/until.ts";

/** Of the real system; what stands behind them is below the temporary directory here. */
const DIRECTORIES = [
  ...["/etc/sluice", "/etc/systemd/system", "/etc/logrotate.d", "/usr/share/doc/sluice", "/usr/bin"],
  ...["/var/lib/sluice", "/var/log/sluice", "/var/backups", "/run/sluice", "/run/systemd/system"],
];
const PATH = new RegExp(`(?<![\\w/.])(?:${DIRECTORIES.join("|")})(?![\\w-])`, "g");
/** The user and the group of the service are not on this machine. */
const INSTALL = `#!/bin/sh
for word; do
  shift
  if [ "$skip" ]; then skip=; continue; fi
  case $word in -o | -g) skip=1 ;; *) set -- "$@" "$word" ;; esac
done
PATH=$REAL_PATH
exec install "$@"
`;

/** What is typed comes by a pipe of the shell's: ours is a socket, which nobody can open again by /dev/stdin. */
const SHELL = 'cat | bash -euo pipefail -c "$0"';

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class InstalledMachine {
  readonly root = mkdtempSync(join(tmpdir(), "sluice-host-"));
  readonly #ports: readonly (readonly [string, string])[];
  #service: Program | null = null;
  #systemd: Server | null = null;

  private constructor(port: number, adminPort: number) {
    this.#ports = [
      ["127.0.0.1:8081", `127.0.0.1:${port}`],
      ["127.0.0.1:8080", `127.0.0.1:${adminPort}`],
    ];
  }

  /** As an installation leaves it: with a first key, and running. */
  static async open(): Promise<InstalledMachine> {
    const host = new InstalledMachine(await freePort(), await freePort());
    for (const directory of DIRECTORIES) mkdirSync(host.path(directory), { recursive: true });
    host.#installPrograms();
    cpSync(join(ROOT, "examples"), host.path("/usr/share/doc/sluice/examples"), { recursive: true });
    host.write("/etc/sluice/sluice.yaml", host.here(packagedConfig()), 0o640);
    host.write("/etc/sluice/keys.yaml", "keys:\n", 0o640);
    await host.#openSystemd();
    const made = await host.run(`sluice key create -c /etc/sluice/sluice.yaml --name default -o /etc/sluice/first-key`);
    strictEqual(made.code, 0, made.stderr);
    await host.#start();
    return host;
  }

  /** A text of the documentation with the paths and ports of this machine. */
  here(text: string): string {
    const moved = text.replaceAll(PATH, (path) => this.path(path));
    return this.#ports.reduce((changed, [there, here]) => changed.replaceAll(there, here), moved);
  }

  path(path: string): string {
    return join(this.root, path);
  }

  url(path: string): string {
    return this.here(`http://127.0.0.1:8081${path}`);
  }

  read(path: string): string {
    return readFileSync(this.path(path), "utf8");
  }

  write(path: string, text: string, mode = 0o644): void {
    mkdirSync(dirname(this.path(path)), { recursive: true });
    writeFileSync(this.path(path), text, { mode });
  }

  /** Runs a shell script of the documentation; every line has to succeed. `input`: what people type. */
  async run(script: string, input = ""): Promise<Outcome> {
    const real = process.env["PATH"] ?? "";
    const env = {
      ...process.env,
      PATH: `${this.path("/usr/bin")}:${real}`,
      REAL_PATH: real,
      SYSTEMD_STAND_IN: this.#socket,
    };
    const child = spawn("sh", ["-c", SHELL, this.here(script)], { env, cwd: this.root, stdio: "pipe" });
    const said = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const)
      child[name].setEncoding("utf8").on("data", (text: string) => {
        said[name] += text;
      });
    child.stdin.on("error", () => {}).end(input);
    const [code]: (number | null)[] = await once(child, "close");
    return { code: code ?? null, ...said };
  }

  /** The log of the service since its last start. */
  get log(): string {
    return this.#service?.stderr() ?? "";
  }

  async close(): Promise<void> {
    await this.#stop();
    this.#systemd?.close();
    rmSync(this.root, { recursive: true });
  }

  get #socket(): string {
    return join(this.root, "systemd.sock");
  }

  #installPrograms(): void {
    const command = readFileSync(join(ROOT, "packaging/debian/sluice.sh"), "utf8")
      .replace("/usr/lib/sluice/bin/node", process.execPath)
      .replace("/usr/lib/sluice/", ROOT);
    const systemctl = `#!/bin/sh\nexec "${process.execPath}" "${join(import.meta.dirname, "systemctl.ts")}" "$@"\n`;
    const programs = { sluice: this.here(command), systemctl, install: INSTALL };
    for (const [name, text] of Object.entries(programs)) {
      this.write(`/usr/bin/${name}`, text);
      chmodSync(this.path(`/usr/bin/${name}`), 0o755);
    }
  }

  async #openSystemd(): Promise<void> {
    this.#systemd = createServer((asked, answer) => {
      const order = decodeURIComponent((asked.url ?? "").slice(1));
      void this.#follow(order).then(
        (said) => answer.writeHead(said === "" ? 200 : 500).end(said),
        (error: Error) => answer.writeHead(500).end(error.message),
      );
    }).listen(this.#socket);
    await once(this.#systemd, "listening");
  }

  /** What was refused; empty: nothing. */
  async #follow(order: string): Promise<string> {
    if (order === "reload sluice") return this.#reload();
    if (order === "stop sluice" || order === "restart sluice") await this.#stop();
    else if (order === "kill --signal=USR2 --kill-whom=main sluice.service") this.#service?.signal("SIGUSR2");
    else if (order !== "start sluice" && order !== "daemon-reload") return `this machine does not know: ${order}\n`;
    if (order === "start sluice" || order === "restart sluice") await this.#start();
    return "";
  }

  /** A line of the unit, or of what was added to it. */
  #setting(name: string): string | undefined {
    const added = this.path("/etc/systemd/system/sluice.service.d/credentials.conf");
    const files = [join(ROOT, "systemd/sluice.service"), added].filter((file) => existsSync(file));
    const text = files.map((file) => readFileSync(file, "utf8")).join("\n");
    return new RegExp(`^${name}=(.*)$`, "m").exec(text)?.[1];
  }

  async #reload(): Promise<string> {
    const { code, stderr } = await this.run(this.#setting("ExecReload") ?? "false");
    return code === 0 ? "" : stderr;
  }

  async #start(): Promise<void> {
    const [, ...args] = this.here(this.#setting("ExecStart") ?? "").split(" ");
    const masked = ["sh", "-c", `umask ${this.#setting("UMask")}; exec "$@"`, "sh"];
    mkdirSync(this.path("/run/sluice"), { recursive: true });
    const env = { RUNTIME_DIRECTORY: this.path("/run/sluice"), ...this.#credentials() };
    const service = new Program([join(ROOT, "src/main.ts"), ...args], env, this.root, masked);
    this.#service = service;
    await until("the service is ready", async () => {
      if (service.outcome !== null) throw new Error(`it ended with ${service.outcome}: ${service.stderr()}`);
      return (await fetch(this.here("http://127.0.0.1:8080/health/ready")).catch(() => null))?.ok;
    });
  }

  async #stop(): Promise<void> {
    this.#service?.signal("SIGTERM");
    strictEqual(await this.#service?.end(), 0, this.log);
    this.#service = null;
    rmSync(this.path("/run/sluice"), { recursive: true });
  }

  /** Copied at the start, and at no other time. */
  #credentials(): Record<string, string> {
    const [name, file] = this.#setting("LoadCredential")?.split(":") ?? [];
    if (name === undefined || file === undefined) return {};
    const directory = mkdtempSync(join(this.root, "credentials-"));
    copyFileSync(this.here(file), join(directory, name));
    return { CREDENTIALS_DIRECTORY: directory };
  }
}
