/** Commands of the machine under test: run to their end, with what they printed. Runs inside the booted Debian tree, as root. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { within } from "../support/until.ts";

/** An installation on a busy machine, milliseconds. */
const COMMAND_MS_MAX = 180_000;

export interface Ended {
  readonly code: number | null;
  /** Standard output and error, as they came. */
  readonly text: string;
}

/** Never asks anybody, and fails only by its exit code. */
export async function run(command: string, ...args: readonly string[]): Promise<Ended> {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C.UTF-8", PAGER: "cat" };
  const child = spawn(command, args, { env, stdio: ["ignore", "pipe", "pipe"] });
  let text = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
  const [code]: (number | null)[] = await within(`the end of ${command}`, once(child, "close"), COMMAND_MS_MAX);
  return { code: code ?? null, text };
}

/** What it printed, without space around it. Throws, with all of it, when it fails. */
export async function output(command: string, ...args: readonly string[]): Promise<string> {
  const { code, text } = await run(command, ...args);
  if (code !== 0) throw new Error(`${[command, ...args].join(" ")}: exit code ${code}\n${text}`);
  return text.trim();
}
