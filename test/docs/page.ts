/** A page of the documentation as a test reads it: its code blocks and tables, each with the section that it is in. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../support/program.ts";

export interface Block {
  readonly section: string;
  /** What stands behind the fence: "sh", "yaml rules". */
  readonly language: string;
  readonly text: string;
}

export interface Row {
  readonly section: string;
  readonly cells: readonly string[];
}

export class Page {
  readonly text: string;
  readonly blocks: readonly Block[];
  readonly rows: readonly Row[];

  constructor(path: string) {
    this.text = readFileSync(join(ROOT, path), "utf8");
    const sections = this.text.split(/^## /m).slice(1);
    this.blocks = sections.flatMap(blocksOf);
    this.rows = sections.flatMap(rowsOf);
  }

  blocksIn(section: string, language: string): readonly string[] {
    return this.blocks
      .filter((block) => block.section === section && block.language === language)
      .map(({ text }) => text);
  }
}

function titleOf(section: string): string {
  return section.split("\n", 1)[0] ?? "";
}

function blocksOf(section: string): Block[] {
  const fences = section.matchAll(/^```(\S.*)\n([\s\S]*?)^```$/gm);
  return [...fences].map(([, language = "", text = ""]) => ({ section: titleOf(section), language, text }));
}

/** Without heads of tables: their rows come behind the line of dashes. */
function rowsOf(section: string): Row[] {
  const tables = section.matchAll(/^\|(?:---\|)+\n((?:\|.*\n?)+)/gm);
  const lines = [...tables].flatMap(([, body = ""]) => body.trimEnd().split("\n"));
  return lines.map((line) => ({
    section: titleOf(section),
    cells: line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  }));
}
