/**
 * What the demo provider says, as pieces: one piece is one token, so that its token counts are those of its streams.
 * Pure and deterministic. Runs in the demo provider's process.
 */
import { createHash } from "node:crypto";

const PIECE = /\s*(?:[\p{L}\p{N}]{1,6}|[^\s\p{L}\p{N}])/gu;
const ECHO_CHARACTERS_MAX = 160;

/** A text cut into tokens; joined they are the text without white space at its end. */
export function piecesOf(text: string): string[] {
  return text.match(PIECE) ?? [];
}

export function tokensOf(text: string): number {
  return piecesOf(text).length;
}

/** The answer to a prompt. */
export function answerTo(prompt: string): string {
  const said = prompt.trim();
  if (said === "") return `Hello! You said nothing, and I repeat it gladly. ${ADVICE}`;
  return `Hello! You said: "${shortened(said)}". ${ADVICE}`;
}

const ADVICE =
  "I am the demo provider inside Sluice: I do not think, I echo, and I cost nothing. Next: add a provider with its " +
  "credential to sluice.yaml, reload the gateway with SIGHUP, and ask a model that knows more than I do.";

/** The answer to what a tool returned. */
export function answerToTool(result: string): string {
  return `The tool returned: "${shortened(result.trim())}". A real model would now explain what that means.`;
}

function shortened(text: string): string {
  const characters = [...text];
  return characters.length <= ECHO_CHARACTERS_MAX ? text : `${characters.slice(0, ECHO_CHARACTERS_MAX).join("")}...`;
}

/** The same id for the same request, as OpenAI spells ids. */
export function idOf(prefix: string, body: Buffer): string {
  return `${prefix}${createHash("sha256").update(body).digest("hex").slice(0, 24)}`;
}
