/** How many prompts a completion has: each is answered by itself, with as many tokens as the request allows. Gateway worker; pure. */

/** Most have one, which is not looked for any further. One of token numbers is one. */
const LIST = /"prompt"\s*:\s*\[\s*["[]/;

export function promptsIn(body: Buffer | null): number {
  return body !== null && LIST.test(body.toString("latin1")) ? lengthOf(promptOf(body)) : 1;
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
