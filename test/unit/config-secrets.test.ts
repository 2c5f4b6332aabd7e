/** Whatever somebody pastes into the wrong place of a configuration, no message repeats it. */
import { doesNotMatch, equal, match, ok } from "node:assert/strict";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { checkText, loadConfig } from "../../src/config/load.ts";
import { ConfigError, formatProblems } from "../../src/config/problem.ts";

const DEMO = "providers: { demo: { type: demo } }\n";
/** A short password that no pattern could tell from a word, and keys as providers hand them out. */
const SECRETS = [
  "hunter2",
  "sk-proj-abcDEF123",
  "gsk_q1w2e3r4",
  "0123456789abcdef0123456789abcdef",
  "AbC-dEf_123456789-QwErTyUiOp",
];
const NOT_WORDS = SECRETS.slice(1);

function report(text: string, env: NodeJS.ProcessEnv = {}): string {
  const { problems, missing } = checkText("/nowhere/f.yaml", text, env);
  ok(problems.length + missing.length > 0, `expected a problem in:\n${text}`);
  return formatProblems("f.yaml", text, [...problems, ...missing]);
}

/** Places where a credential is expected, or near one: `$` is replaced by every secret. */
const CREDENTIAL_PLACES: Readonly<Record<string, string>> = {
  "instead of its source": "providers:\n  a:\n    base_url: http://h\n    credential: $\n",
  "as a variable": "providers:\n  a: { base_url: 'http://h', credential: { env: $ } }\n",
  "as a file": "providers:\n  a: { base_url: 'http://h', credential: { file: $ } }\n",
  "as an unknown source": "providers:\n  a: { base_url: 'http://h', credential: { value: $ } }\n",
  "as a source": "providers:\n  a: { base_url: 'http://h', credential: { $ } }\n",
  "in a list": "providers:\n  a: { base_url: 'http://h', credential: [$] }\n",
  twice: "providers:\n  a: { base_url: 'http://h', credential: { $: 1, $: 2 } }\n",
  "in an unknown key": "providers:\n  a:\n    base_url: http://h\n    api_key: $\n",
  "beside a mistake": "providers:\n  a: { base_url: 'http://h', api_key: $, auth: bearr }\n",
  "in a URL": "providers: { a: { base_url: 'http://u:$@h' } }\n",
  "in the URL of a proxy": "providers:\n  a:\n    base_url: https://h\n    proxy: http://u:$@h\n",
  "as the user of a proxy": "providers:\n  a:\n    base_url: https://h\n    proxy: http://$@h\n",
  "as the password of a proxy": "providers:\n  a: { base_url: 'https://h', proxy: 'http://u@h', proxy_password: $ }\n",
  "as the variable of a proxy":
    "providers:\n  a:\n    base_url: https://h\n    proxy: http://u@h\n    proxy_password: { env: $ }\n",
  "in the query of a bad URL": "providers: { a: { base_url: 'ftp://h?key=$' } }\n",
  "in a header": "providers: { a: { base_url: 'http://h', headers: { authorization: $ } } }\n",
  "in a query": "providers: { a: { base_url: 'http://h', query: { key: [$] } } }\n",
  "as a hash": `${DEMO}keys: [{ name: a, hash: $ }]\n`,
  "as a key entry": `${DEMO}keys: [$]\n`,
  "as a provider": "providers: { a: $ }\n",
  "after a syntax error": `${DEMO}keys: [{ hash: $: b }]\n`,
  "in a quote that is not closed": `${DEMO}keys: [{ hash: "$ }]\n`,
  "as a lost reference": `${DEMO}workers: *$\n`,
  "as a tag": `${DEMO}workers: !$ 1\n`,
  "in a comment": `${DEMO}workers: many # $\n`,
  "on a line of its own": `${DEMO}workers: 1\n$\n`,
  "below the wrong indentation": `${DEMO}log:\n    level: info\n  $\n`,
};

/** Places of names and values: there only what looks like a secret can be told from a slip. */
const OTHER_PLACES: Readonly<Record<string, string>> = {
  "as an unknown section": `${DEMO}$: 1\n`,
  "as a passthrough": `${DEMO}passthrough: $\n`,
  "as a provider of a model": `${DEMO}models: { a: { provider: $ } }\n`,
  "as a model of a key": `${DEMO}keys: [{ name: a, hash: 'sha256:${"1".repeat(64)}', models: [$] }]\n`,
  "as an address": `${DEMO}listen: $\n`,
  "as a name given twice": `${DEMO}models: { $: { provider: demo }, $: { provider: demo } }\n`,
};

describe("a secret is not repeated", () => {
  for (const [place, text] of Object.entries(CREDENTIAL_PLACES)) {
    test(place, () => {
      for (const secret of SECRETS) ok(!report(text.replaceAll("$", secret)).includes(secret), secret);
    });
  }
  for (const [place, text] of Object.entries(OTHER_PLACES)) {
    test(place, () => {
      for (const secret of NOT_WORDS) ok(!report(text.replaceAll("$", secret)).includes(secret), secret);
    });
  }
});

const WITH_ENV = "providers:\n  a:\n    base_url: http://h\n    credential: { env: A_KEY }\n";

describe("credentials that are missing", () => {
  test("a variable is named, with its place", () => {
    match(
      report(WITH_ENV),
      /^f\.yaml:4:17: the environment variable A_KEY is not set; set it, or use \{ file: PATH \}$/,
    );
  });

  test("an empty variable is missing", () => match(report(WITH_ENV, { A_KEY: "" }), /A_KEY is not set/));

  test("a file is named", () => {
    const text = "providers: { a: { base_url: 'http://h', credential: { file: /nowhere/key } } }\n";
    match(report(text), /the credential file '\/nowhere\/key' does not exist; create it, or name another$/);
  });

  test("a systemd credential outside of a service", () => {
    const text = "providers: { a: { base_url: 'http://h', credential: { systemd: openai } } }\n";
    match(
      report(text),
      /the systemd credential 'openai' is not there, as CREDENTIALS_DIRECTORY is not set; add LoadCredential= /,
    );
  });

  test("a value that would split the header is refused and not repeated", () => {
    const message = report(WITH_ENV, { A_KEY: "hunter2\r\nx: y" });
    match(message, /A_KEY has spaces at its ends or characters that a header cannot hold$/);
    doesNotMatch(message, /hunter2/);
  });

  test("the error of loading carries problems and no secret", () => {
    const path = join(mkdtempSync(join(tmpdir(), "sluice-")), "sluice.yaml");
    writeFileSync(path, `${WITH_ENV}    api_key: hunter2\n`);
    try {
      loadConfig(path, {});
      ok(false, "expected an error");
    } catch (error) {
      ok(error instanceof ConfigError);
      equal(error.problems.length, 1);
      doesNotMatch(`${error.stack}${JSON.stringify(error)}`, /hunter2/);
    }
  });
});
