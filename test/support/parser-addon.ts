/**
 * The parser of upstream responses as an addon of its own, built on demand from the sources, or from changed copies of them.
 * test/support/response-parser.cc has the other side.
 */
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { within } from "./until.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const BUILD_DEADLINE_MS = 120_000;
const run = promisify(execFile);

export type ParserEvent =
  | {
      readonly kind: "head";
      readonly status: number;
      readonly reusable: boolean;
      readonly chunked: boolean;
      readonly closeDelimited: boolean;
      readonly contentLength: number;
      readonly lines: string;
      readonly contentType: string | null;
      readonly contentEncoding: string | null;
      readonly requestId: string | null;
      /** Of the lines and the three values. */
      readonly textLength: number;
    }
  | { readonly kind: "body"; readonly bytes: Buffer }
  | { readonly kind: "end"; readonly left: number }
  | { readonly kind: "error"; readonly reason: string };

export type HeadEvent = Extract<ParserEvent, { kind: "head" }>;

declare const handle: unique symbol;
export interface Parser {
  readonly [handle]: true;
}

export interface ParserAddon {
  open(dropped: readonly string[], headBytesMax: number): Parser;
  begin(parser: Parser, headRequest: boolean): void;
  feed(parser: Parser, piece: Uint8Array): ParserEvent[];
  closed(parser: Parser): ParserEvent[];
  /** CPU time of one whole response, nanoseconds. */
  time(parser: Parser, response: Uint8Array, rounds: number): number;
}

/** One make at a time: test files run side by side. */
export async function parserAddon(): Promise<ParserAddon> {
  const making = run("flock", ["Makefile", "make", "build/parser.node"], { cwd: join(ROOT, "src/native") });
  await within("make build/parser.node", making, BUILD_DEADLINE_MS);
  return load(join(ROOT, "src/native/build/parser.node"));
}

export interface SourceChange {
  /** Below src/native/upstream. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** The addon with one place of its sources changed. */
export async function changedParserAddon({ file, from, to }: SourceChange): Promise<ParserAddon> {
  const tree = await mkdtemp(join(tmpdir(), "parser-"));
  try {
    const native = join(tree, "src/native");
    await copySources(tree);
    const path = join(native, "upstream", file);
    const text = await readFile(path, "utf8");
    if (text.split(from).length !== 2) throw new Error(`not once in ${file}: ${from}`);
    await writeFile(
      path,
      text.replace(from, () => to),
    );
    const making = run("make", ["build/parser.node", "WARNINGS=-O0"], { cwd: native });
    await within("make build/parser.node", making, BUILD_DEADLINE_MS);
    return load(join(native, "build/parser.node"));
  } finally {
    await rm(tree, { recursive: true });
  }
}

async function copySources(tree: string): Promise<void> {
  for (const path of [
    "src/native/Makefile",
    "src/native/addon.h",
    "src/native/upstream",
    "test/support/response-parser.cc",
  ]) {
    await mkdir(dirname(join(tree, path)), { recursive: true });
    await cp(join(ROOT, path), join(tree, path), { recursive: true });
  }
  await symlink(join(ROOT, "node_modules"), join(tree, "node_modules"));
}

function load(path: string): ParserAddon {
  const loaded: { exports: Partial<ParserAddon> } = { exports: {} };
  process.dlopen(loaded, path);
  return loaded.exports as ParserAddon;
}
