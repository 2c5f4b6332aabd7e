/** Rules on the text of the tree, each a function from files to what is wrong with them. */
import { basename } from "node:path";
import { blank } from "./lexer.ts";
import type { SourceFile } from "./tree.ts";

export const FILE_LINES_MAX = 500;

/** Names that say nothing about what is inside. */
const VAGUE = /^(utils?|helpers?|common|services?|managers?|misc|shared|index|barrel)$/i;

export function vagueNames(files: readonly SourceFile[]): string[] {
  const isVague = (path: string) => path.split("/").some((part) => part.split(/[.-]/).some((word) => VAGUE.test(word)));
  return files.filter(({ path }) => isVague(path.replace(EXEMPT, ""))).map(({ path }) => path);
}

/** Contracts of the shared memory are shared indeed. */
const EXEMPT = /shared-(?=histogram)/;

/** A file that only passes on what others export. */
export function barrels(files: readonly SourceFile[]): string[] {
  const isBarrel = ({ text }: SourceFile) => {
    const code = blank(text).uncommented.trim();
    return (
      code !== "" &&
      code.replace(/export\s+(type\s+)?(\*|\{[^}]*\})(\s+as\s+\w+)?\s+from\s+"[^"]*";?/g, "").trim() === ""
    );
  };
  return files.filter(isBarrel).map(({ path }) => path);
}

export interface Pattern {
  readonly name: string;
  readonly pattern: RegExp;
  /** Where to look: comments are text, too. */
  readonly view: "text" | "uncommented" | "bare";
  /** A line that breaks the rule, to prove that it can. */
  readonly bad: string;
}

/** In every .ts file. The words are split so that this file does not break its own rules. */
export const CODE_PATTERNS: readonly Pattern[] = [
  { name: "any", pattern: /(:|<|\bas|\|)\s*any\b(?![\w?.(])|,\s*any\s*>/, view: "bare", bad: "const x: any = 1;" },
  {
    name: "ts-ignore",
    pattern: new RegExp(`@ts-(${"ignore"}|nocheck|expect-error)`),
    view: "text",
    bad: `// @ts-${"ignore"}`,
  },
  {
    name: "lint exception",
    pattern: new RegExp(`${"biome"}-ignore`),
    view: "text",
    bad: `// ${"biome"}-ignore lint: no`,
  },
  {
    name: "unfinished",
    pattern: new RegExp(`\\b(${"TO"}DO|${"FIX"}ME|${"X"}XX)\\b`),
    view: "text",
    bad: `// ${"TO"}DO`,
  },
  { name: "non-null", pattern: /[\w)\]]!(?=[.;,)\][])/, view: "bare", bad: "const y = list[0]!.name;" },
];

/** In test files, too. */
export const TEST_PATTERNS: readonly Pattern[] = [
  { name: "only", pattern: /\b(test|it|describe|suite)\.only\b|\bonly: true/, view: "bare", bad: 'test.only("x", f);' },
  {
    name: "skipped",
    pattern: /\b(test|it|describe|suite)\.(skip|todo)\b|\b(skip|todo): true/,
    view: "bare",
    bad: 'test.skip("x", f);',
  },
  { name: "fixed sleep", pattern: /\bawait\s+(sleep|delay|wait)\(\s*[\d_]+/, view: "bare", bad: "await sleep(500);" },
  {
    name: "timer promise",
    pattern: /setTimeout\(\s*(resolve|r|done)\s*,\s*[\d_]+\s*\)/,
    view: "bare",
    bad: "new Promise((resolve) => setTimeout(resolve, 100));",
  },
];

export function breachesOf({ name, pattern, view }: Pattern, files: readonly SourceFile[]): string[] {
  return files.flatMap(({ path, text }) => {
    const lines = (view === "text" ? text : blank(text)[view]).split("\n");
    return lines.flatMap((line, i) => (pattern.test(line) ? [`${path}:${i + 1}: ${name}`] : []));
  });
}

/** The exit code is decided in one place; everybody else returns or sets process.exitCode. */
export const EXIT: Pattern = {
  name: "process.exit",
  pattern: /\bprocess\.(exit|abort|reallyExit)\(/,
  view: "bare",
  bad: "process.exit(1);",
};

/** Of any machine in particular: homes, work folders, temporary folders of runs, registries other than the public one's name. */
export const MACHINE: Pattern = {
  name: "a path or host of one machine",
  pattern: new RegExp(
    `(?<![\\w.])/(${"work"}|home|Users|root)/\\w|\\bregistry\\.(?!k8s)[\\w-]+\\.\\w+|\\b(npm|pypi)\\.[\\w-]+\\.(internal|local|corp)\\b`,
  ),
  view: "text",
  bad: `cd /${"home"}/someone`,
};

export function longFiles(files: readonly SourceFile[]): string[] {
  const lines = ({ text }: SourceFile) => text.split("\n").length - 1;
  return files.filter((file) => lines(file) > FILE_LINES_MAX).map((file) => `${file.path}: ${lines(file)} lines`);
}

/** A file begins with what it is. */
export function withoutOpening(files: readonly SourceFile[]): string[] {
  return files.filter(({ text }) => !/^(#![^\n]*\n)?(\/\*\*|\/\/|#)/.test(text)).map(({ path }) => path);
}

/** Kebab case, and tests end with .test.ts. */
export function oddNames(files: readonly SourceFile[]): string[] {
  return files.map(({ path }) => path).filter((path) => !/^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z]+)*$/.test(basename(path)));
}
