/** Names of the configuration in lines of name=value. Leaf; any thread. */

const MISTAKABLE = /[^\x21-\x7e]|[;,=%#]/gu;

/** With what could be mistaken percent-encoded. */
export function named(name: string): string {
  return name.replaceAll(MISTAKABLE, encodeURIComponent);
}
