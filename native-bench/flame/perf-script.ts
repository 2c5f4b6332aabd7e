/**
 * Reads what `perf script -F pid,tid,ip,sym,dso` prints: per sample a line "PID/TID" and below it the frames, the innermost
 * first, as "ADDRESS SYMBOL (LIBRARY)"; an empty line ends it. Pure.
 *
 * Stacks are followed by frame pointers. V8 and Node have them, libraries mostly not: a stack that goes through one may
 * end there, or in an address that is none. Such a sample says so, and nothing is guessed.
 */
import { basename } from "node:path";
import { builtinFrame, nativeFrame, scriptFrame, withCollector } from "./frame-name.ts";
import type { Frame, Sample } from "./stack-tree.ts";

const HEAD = /^\s*\S*?\s*(\d+)\/(\d+)/;
const FRAME = /^\s+[0-9a-f]+ (.*) \((.*?)\)$/;
/** The first function of a thread. */
const BEGINNING = /^(?:_start|__libc_start_(?:call_)?main|start_thread|__?clone3?|ret_from_fork(?:_asm)?)/;
const UNKNOWN = "[unknown]";

interface Line {
  readonly symbol: string;
  readonly library: string;
}

export function samplesOf(text: string): Sample[] {
  const blocks = text.split(/\n\s*\n/).map((block) => block.split("\n"));
  return blocks.flatMap(sampleOf);
}

function sampleOf(lines: readonly string[]): Sample[] {
  const start = lines.findIndex((line) => HEAD.test(line));
  const head = HEAD.exec(lines[start] ?? "");
  const stack = lines.slice(start + 1).flatMap(lineOf);
  if (head === null || stack.length === 0) return [];
  const seen = withoutGarbage(stack);
  const whole = BEGINNING.test(seen.at(-1)?.symbol ?? "");
  return [{ pid: Number(head[1]), thread: head[2] ?? "", frames: framesOf(seen), whole }];
}

function lineOf(text: string): Line[] {
  const [, symbol, library] = FRAME.exec(text) ?? [];
  return symbol === undefined || library === undefined ? [] : [{ symbol, library }];
}

/** Without the outer end that is neither in a program nor in a library: it was read from a register that held no frame. */
function withoutGarbage(stack: readonly Line[]): readonly Line[] {
  const last = stack.findLastIndex(({ library }) => library !== UNKNOWN);
  return stack.slice(0, Math.max(last + 1, 1));
}

/** The outermost first; frames without a name that follow each other are one. */
function framesOf(stack: readonly Line[]): Frame[] {
  const frames = stack.toReversed().map(frameOf);
  return withCollector(frames.filter(({ name }, i) => !name.startsWith("[") || name !== frames[i - 1]?.name));
}

function frameOf({ symbol, library }: Line): Frame {
  const name = symbol === UNKNOWN ? "" : symbol;
  if (!/^perf-\d+\.map$/.test(basename(library))) return nativeFrame(name, library);
  return name.startsWith("JS:") ? scriptFrame(name.slice("JS:".length)) : builtinFrame(name || "code");
}
