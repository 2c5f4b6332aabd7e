/** Completion in the shells themselves, at a terminal: what people type with the tab key becomes the command that they mean. */
import { deepEqual, match } from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { commandTree } from "../../packaging/manual/command-tree.ts";
import { bashCompletion, fishCompletion, zshCompletion } from "../../packaging/manual/completion.ts";
import { sluiceProgram } from "../../src/cli/program.ts";
import { findProgram } from "../support/installed.ts";

const TREE = commandTree(sluiceProgram());
const directory = mkdtempSync(join(tmpdir(), "sluice-completion-"));
after(() => rmSync(directory, { recursive: true }));
mkdirSync(join(directory, "zsh"));
writeFileSync(join(directory, "sluice.bash"), bashCompletion(TREE));
writeFileSync(join(directory, "zsh/_sluice"), zshCompletion(TREE));
writeFileSync(join(directory, "sluice.fish"), fishCompletion(TREE));
writeFileSync(join(directory, "records.hlog"), "");

/** Typed with the tab key, and what is run then. */
const TYPED = [
  ["sluice us\t--js\t", "usage --json"],
  ["sluice key cr\t--na\tsearch", "key create --name search"],
  ["sluice hdr di\t--un\tu\ta", "hdr diff --unit us a"],
  ["sluice hdr sh\trec\t", "hdr show records.hlog"],
  ["sluice ex\t--mod\tchat", "explain --model chat"],
] as const;

/** What a shell prints at a terminal when these lines are typed into it. */
async function session(shell: string, lines: readonly string[]): Promise<string> {
  const env = { ...process.env, TERM: "dumb", HOME: directory, PS1: "", HISTFILE: "" };
  const terminal = spawn("script", ["-qec", shell, "/dev/null"], {
    cwd: directory,
    env,
    stdio: ["pipe", "pipe", "inherit"],
  });
  let printed = "";
  terminal.stdout.setEncoding("utf8").on("data", (text: string) => {
    printed += text;
  });
  terminal.stdin.end([...lines, "exit", ""].join("\n"));
  await once(terminal, "close");
  return printed;
}

/** The words of every command that was run, as the function that stands for it prints them. */
async function commands(shell: string, setUp: readonly string[]): Promise<string[]> {
  const standIn = 'sluice() { echo "<$*>"; }';
  const printed = await session(shell, [...setUp, standIn, ...TYPED.map(([keys]) => keys)]);
  return [...printed.matchAll(/^<(.*?) *>\r?$/gm)].map(([, words = ""]) => words);
}

const MEANT = TYPED.map(([, words]) => words);

test("bash", async () => {
  deepEqual(await commands("bash --norc -i", [`source ${directory}/sluice.bash`]), MEANT);
});

test("zsh, or what can be said of its file without it", async () => {
  const setUp = [`fpath=(${directory}/zsh $fpath)`, "autoload -U compinit", "compinit -u -D"];
  if (findProgram("zsh") !== null) deepEqual(await commands("zsh -f -i", setUp), MEANT);
  else match(zshCompletion(TREE), /^#compdef sluice\n[\s\S]*\n_sluice "\$@"\n$/);
});

test("fish, or what can be said of its file without it", async () => {
  const fish = findProgram("fish");
  if (fish === null) {
    match(fishCompletion(TREE), /\ncomplete -c sluice -f\n/);
    return;
  }
  const asked = ["sluice us", "sluice key create --na", "sluice hdr diff --unit u", "sluice hdr show rec"];
  const script = asked.map((line) => `complete -C '${line}'`).join("; ");
  const child = spawn(fish, ["--no-config", "-c", `source ${directory}/sluice.fish; ${script}`], { cwd: directory });
  let printed = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    printed += text;
  });
  await once(child, "close");
  deepEqual(
    printed
      .trimEnd()
      .split("\n")
      .map((line) => line.split("\t")[0]),
    ["usage", "--name", "us", "records.hlog"],
  );
});
