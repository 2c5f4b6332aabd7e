/**
 * How many prompts a completion has: each is answered by itself, with as many tokens as the request allows. Gateway worker; pure. A body of one
 * prompt, as most are, is neither copied nor parsed for it.
 */

const KEY = Buffer.from('"prompt"');
const [COLON, OPEN, QUOTE] = [0x3a, 0x5b, 0x22];
const SPACE = 0x20;

/** One of token numbers is one. */
export function promptsIn(body: Buffer | null): number {
  return body !== null && mayList(body) ? lengthOf(promptOf(body)) : 1;
}

/** Whether such a key has a list of texts, or of lists, wherever it stands. */
function mayList(body: Buffer): boolean {
  for (let at = body.indexOf(KEY); at >= 0; at = body.indexOf(KEY, at + KEY.length))
    if (isListAt(body, at + KEY.length)) return true;
  return false;
}

function isListAt(body: Buffer, from: number): boolean {
  const colon = filledFrom(body, from);
  if (body[colon] !== COLON) return false;
  const open = filledFrom(body, colon + 1);
  if (body[open] !== OPEN) return false;
  const first = body[filledFrom(body, open + 1)];
  return first === QUOTE || first === OPEN;
}

/** Of what comes there, the first that is no white space. */
function filledFrom(body: Buffer, from: number): number {
  let at = from;
  while (at < body.length && (body[at] ?? 0) <= SPACE) at += 1;
  return at;
}

function promptOf(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString("utf8")).prompt;
  } catch {
    return null;
  }
}

function lengthOf(prompt: unknown): number {
  return Array.isArray(prompt) && typeof prompt[0] !== "number" ? Math.max(prompt.length, 1) : 1;
}
