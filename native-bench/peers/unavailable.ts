/** A peer that cannot be had on this machine: the runner names it with the reason and goes on without it. */
import { stripVTControlCharacters } from "node:util";
import { CodedError } from "../../src/base/errors.ts";

/** Kept of a longer reason, from its beginning and from its end: some programs say why first, some last. */
const KEPT_CHARACTERS = 400;

export class Unavailable extends CodedError {
  readonly peer: string;
  readonly reason: string;

  constructor(peer: string, reason: string, cause?: unknown) {
    const short = shortened(reason);
    super("peer_unavailable", `${peer} cannot be had: ${short}`, cause);
    this.name = "Unavailable";
    this.peer = peer;
    this.reason = short;
  }
}

/** One line, without what terminals do with colours. */
function shortened(text: string): string {
  const line = stripVTControlCharacters(text).replace(/\s+/g, " ").trim();
  if (line.length <= 2 * KEPT_CHARACTERS) return line;
  return `${line.slice(0, KEPT_CHARACTERS)} ... ${line.slice(-KEPT_CHARACTERS)}`;
}
