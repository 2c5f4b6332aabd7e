/**
 * The journal of systemd, when standard error is its stream: each line says how grave it is (sd-daemon(3)), so that
 * `journalctl -p warning` finds it. Any process.
 */
import { fstatSync } from "node:fs";

/** By level of the log; the numbers are those of syslog(3). */
const PRIORITY = { trace: 7, debug: 7, info: 6, warn: 4, error: 3, fatal: 2 } as const;

/** Is this descriptor the stream that the environment names (systemd.exec(5), JOURNAL_STREAM)? It may have been redirected since. */
export function isJournal(descriptor: number, env: NodeJS.ProcessEnv): boolean {
  const stream = env["JOURNAL_STREAM"];
  if (stream === undefined) return false;
  const { dev, ino } = fstatSync(descriptor, { bigint: true });
  return stream === `${dev}:${ino}`;
}

/** `text` with the priority of `level` before every line. */
export function graded(text: string, level: keyof typeof PRIORITY): string {
  return text.replace(/^(?!$)/gm, `<${PRIORITY[level]}>`);
}

/** The same for a line of the log, which begins with its level. */
export function gradedEntry(line: string): string {
  const level = /^\{"level":"(\w+)"/.exec(line)?.[1];
  return level !== undefined && isLevel(level) ? graded(line, level) : line;
}

function isLevel(name: string): name is keyof typeof PRIORITY {
  return Object.hasOwn(PRIORITY, name);
}
