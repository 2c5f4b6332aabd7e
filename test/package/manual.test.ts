/** Manual pages and completions: they are made from what runs, and leave nothing of it out. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { commandPage } from "../../packaging/manual/command-page.ts";
import { allCommands, commandTree } from "../../packaging/manual/command-tree.ts";
import { bashCompletion, fishCompletion, zshCompletion } from "../../packaging/manual/completion.ts";
import { configPage } from "../../packaging/manual/config-page.ts";
import { Page } from "../../packaging/manual/roff.ts";
import { settings } from "../../packaging/manual/settings.ts";
import { sluiceProgram } from "../../src/cli/program.ts";
import { findProgram } from "../support/installed.ts";
import { ROOT } from "../support/program.ts";

const EDITION = { version: "1.2.3", date: "2026-01-02" };
const TREE = commandTree(sluiceProgram());
const COMMANDS = allCommands(TREE);

/** The text of a page as it reads, without its markup. */
function plain(page: string): string {
  return page.replaceAll("\\-", "-").replaceAll("\\(aq", "'").replaceAll("\\fB", "").replaceAll("\\fR", "");
}

function missing(text: string, wanted: readonly string[]): readonly string[] {
  return wanted.filter((item) => !text.includes(item));
}

test("sluice(1) has every command, argument and option", () => {
  const page = plain(commandPage(TREE, EDITION));
  const leaves = COMMANDS.filter(({ commands }) => commands.length === 0);
  ok(leaves.length >= 4);
  deepEqual(
    missing(
      page,
      leaves.map(({ path }) => path.join(" ")),
    ),
    [],
  );
  deepEqual(
    missing(
      page,
      leaves.flatMap(({ options }) => options.map(({ flags }) => flags)),
    ),
    [],
  );
  deepEqual(
    missing(
      page,
      leaves.flatMap(({ arguments: given }) => given.map(({ usage }) => usage)),
    ),
    [],
  );
  ok(page.includes("Exit code  0"), "what hdr diff says at the end of its help");
});

test("sluice.yaml(5) has every setting with what it is for", () => {
  const page = plain(configPage(EDITION));
  const all = settings();
  deepEqual(
    all.filter(({ description }) => !/^[A-Z/'"`a-z].{10,}/.test(description)).map(({ path }) => path.join(".")),
    [],
  );
  deepEqual(
    missing(
      page,
      all.map(({ path }) => `\n${path.join(".")}\n`),
    ),
    [],
  );
  for (const known of [
    "listen",
    "limits.body_bytes",
    "providers.NAME.credential.systemd",
    "models.NAME.model",
    "keys.-.hash",
  ])
    ok(
      all.some(({ path }) => path.join(".") === known),
      known,
    );
});

test("defaults read as in the file", () => {
  const defaults = new Map(settings().map(({ path, byDefault }) => [path.join("."), byDefault]));
  equal(defaults.get("timeouts.connect"), "10s");
  equal(defaults.get("limits.body_bytes"), "32MiB");
  equal(defaults.get("workers"), "auto");
  equal(defaults.get("admin.listen"), "127.0.0.1:8080");
  equal(defaults.get("models.NAME.provider"), null);
});

test("the explained configuration has every setting", () => {
  const template = readFileSync(join(ROOT, "src/config/sluice.template.yaml"), "utf8");
  const words = new Set(template.match(/[a-z0-9_]+(?=:)/g));
  // Where the name is only in the text: what it is in is shown by an example.
  deepEqual(
    settings()
      .map(({ path }) => path.at(-1) ?? "")
      .filter((name) => !words.has(name) && name !== "NAME"),
    [],
  );
});

test("a page takes any text as text", () => {
  const page = new Page("x", 1, "2026-01-02", "x", "x");
  page.paragraph(".so /etc/passwd");
  page.paragraph("'\\fBbold\\n[x]");
  const lines = page.toString().split("\n");
  ok(lines.includes("\\&.so /etc/passwd"));
  ok(lines.includes("\\(aq\\efBbold\\en[x]"));
});

test("man renders the pages without a warning, where it is installed", () => {
  for (const page of [commandPage(TREE, EDITION), configPage(EDITION)]) {
    match(page, /^\.TH /m);
    if (findProgram("man") === null) continue;
    const env = { ...process.env, LC_ALL: "C.UTF-8", MANWIDTH: "80", MANROFFSEQ: "" };
    const args = ["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-"];
    const { status, stdout, stderr } = spawnSync("man", args, { input: page, env, encoding: "utf8" });
    deepEqual({ status, stderr }, { status: 0, stderr: "" });
    match(stdout, /^ {7}sluice(?:\.yaml)? - /m);
  }
});

test("completions offer every command and option", () => {
  const options = COMMANDS.flatMap((command) => command.options.flatMap(({ names }) => names));
  const names = COMMANDS.slice(1).map(({ path }) => path.at(-1) ?? "");
  deepEqual(missing(bashCompletion(TREE), [...names, ...options]), []);
  deepEqual(missing(zshCompletion(TREE), [...names, ...options]), []);
  deepEqual(
    missing(fishCompletion(TREE), [
      ...names,
      ...options.map((name) => `${name.startsWith("--") ? "-l" : "-s"} ${name.replace(/^-+/, "")}`),
    ]),
    [],
  );
});

test("bash completes subcommands, options and choices", () => {
  const complete = (...words: string[]) => {
    const script = `${bashCompletion(TREE)}\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _sluice 2>&1; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout } = spawnSync("bash", ["-c", script, "bash", "sluice", ...words], { encoding: "utf8" });
    return stdout.trim().split("\n");
  };
  deepEqual(complete("us"), ["usage"]);
  deepEqual(complete("key", ""), ["create", "-h", "--help"]);
  deepEqual(complete("key", "create", "--na"), ["--name"]);
  deepEqual(complete("hdr", "diff", "--unit", "u"), ["us"]);
});
