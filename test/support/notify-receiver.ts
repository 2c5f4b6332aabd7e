/** What a service tells systemd, as systemd gets it: a datagram socket in a small program, which is built on demand. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const SOURCE = fileURLToPath(new URL("notify-receiver.cc", import.meta.url));

export class NotifyReceiver {
  /** For NOTIFY_SOCKET. */
  readonly socket: string;
  /** Every datagram so far, its lines separated by a bar. */
  readonly told: string[] = [];
  private readonly directory: string;
  private readonly child: ReturnType<typeof spawn>;

  private constructor(isAbstract: boolean) {
    this.directory = mkdtempSync(join(tmpdir(), "sluice-notify-"));
    const path = join(this.directory, "notify");
    this.socket = isAbstract ? `@${path}` : path;
    const program = join(this.directory, "receiver");
    execFileSync(process.env["CXX"] ?? "g++", ["-std=c++17", "-O1", "-o", program, SOURCE]);
    this.child = spawn(program, [this.socket], { stdio: ["pipe", "pipe", "inherit"] });
  }

  static async open(isAbstract = false): Promise<NotifyReceiver> {
    const receiver = new NotifyReceiver(isAbstract);
    const { stdout } = receiver.child;
    if (stdout === null) throw new Error("no output");
    const lines = createInterface({ input: stdout });
    await once(lines, "line");
    lines.on("line", (line: string) => receiver.told.push(line));
    return receiver;
  }

  /** How many datagrams have this line. */
  count(line: string): number {
    return this.told.filter((datagram) => datagram.split("|").includes(line)).length;
  }

  async close(): Promise<void> {
    const gone = once(this.child, "exit");
    this.child.stdin?.end();
    await gone;
    rmSync(this.directory, { recursive: true, force: true });
  }
}
