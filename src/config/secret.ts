/**
 * What must not be repeated in a message: a credential that somebody pasted where a name belongs. Pure; supervisor and
 * command line. Errs on the side of hiding: a hidden name costs a glance at the file, a shown secret a rotation.
 */

/** Fields whose value, or anything below it, may be a secret: their text is never shown. */
const SECRET_FIELDS: ReadonlySet<PropertyKey> = new Set([
  ...["credential", "credentials", "hash", "headers", "query", "base_url"],
  ...["proxy", "proxy_password"],
]);

/** Keys as providers hand them out, by prefix; then anything long and unbroken, or long and of all kinds of letters. */
const SECRETS: readonly RegExp[] = [
  /\b(?:[a-z]?[sr]k|xai|pplx|hf|r8|gh[a-z]|glpat|xox[a-z])[-_]\w/i,
  /(?:AKIA|AIza|eyJ)[\w-]{6}/,
  /(?=[A-Za-z+=]*\d)(?=\d*[A-Za-z])[A-Za-z0-9+=]{16}/,
  /(?=[\w+/=-]{0,24}[A-Z])(?=[\w+/=-]{0,24}[a-z])(?=[\w+/=-]{0,24}\d)[\w+/=-]{24}/,
];

export function mayBeSecret(text: string): boolean {
  return SECRETS.some((pattern) => pattern.test(text));
}

export function isSecretField(field: PropertyKey): boolean {
  return SECRET_FIELDS.has(field);
}

/** `'text'` for a message when it can be shown, else `fallback`. */
export function quoted(text: string, fallback: string): string {
  const shown = text.length <= 64 && /^[\x20-\x7e]+$/.test(text) && !mayBeSecret(text);
  return shown ? `'${text}'` : fallback;
}
