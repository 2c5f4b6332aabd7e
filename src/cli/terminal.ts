/**
 * What subcommands print. Command line. Names and paths out of files and arguments may hold control characters, which a
 * terminal would obey: every line goes through here.
 */

import { graded, isJournal } from "../base/journal.ts";

/** Control characters but newline and tab, and the marks that turn the direction of text. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}]/gu;

function clean(text: string): string {
  return text.replaceAll(UNPRINTABLE, (mark) => (mark === "\n" || mark === "\t" ? mark : "\uFFFD"));
}

/** The result of the command: standard output. */
export function print(text: string): void {
  process.stdout.write(`${clean(text)}\n`);
}

/** What people should know and scripts should not read as the result: standard error. In the journal it is an error. */
export function warn(text: string): void {
  const lines = `${clean(text)}\n`;
  process.stderr.write(isJournal(process.stderr.fd, process.env) ? graded(lines, "error") : lines);
}
