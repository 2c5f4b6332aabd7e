/**
 * Names of native functions by their place in a file, from the symbol tables that nm prints. V8's own reader of profiles
 * loses most of them: it takes the first megabyte of nm's output, and Node has 24.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

const NM_BYTES_MAX = 256 * 1_024 * 1_024;
const LOADED = 1;
const EXECUTABLE = 1;

interface Entry {
  readonly begin: number;
  readonly end: number;
  readonly name: string;
}

interface Table {
  /** By address. */
  readonly entries: readonly Entry[];
  /** From a place in the file to the address that the linker gave it. */
  readonly shift: number;
}

const EMPTY: Table = { entries: [], shift: 0 };

export class Symbols {
  readonly #tables = new Map<string, Table>();

  /** The function at `offset` of `file`; "" where nobody says. */
  at(file: string, offset: number): string {
    const { entries, shift } = this.#tableOf(file);
    const found = entries[lastBegun(entries, offset + shift)];
    return found !== undefined && offset + shift < found.end ? found.name : "";
  }

  #tableOf(file: string): Table {
    const known = this.#tables.get(file) ?? readTable(file);
    this.#tables.set(file, known);
    return known;
  }
}

function readTable(file: string): Table {
  if (!file.startsWith("/")) return EMPTY;
  const entries = nm(file).flatMap(entryOf);
  // Libraries of a distribution have only the table for linking (-D).
  return { entries: entries.length > 0 ? entries : nm("-D", file).flatMap(entryOf), shift: shiftOf(file) };
}

/** A function written in assembler may have no size: it goes on to the next one. */
function entryOf(line: string): Entry[] {
  const [, address, size, name] = /^([0-9a-f]+) (?:([0-9a-f]+) )?[tTwWiuV] (.*)$/.exec(line) ?? [];
  if (address === undefined || name === undefined) return [];
  const begin = Number.parseInt(address, 16);
  const end = size === undefined ? Number.POSITIVE_INFINITY : begin + Number.parseInt(size, 16);
  return [{ begin, end, name: withoutParameters(name.replace(/@.*$/, "")) }];
}

/** As perf has them: from the first parenthesis that is not part of the name. */
function withoutParameters(name: string): string {
  let depth = 0;
  for (let i = 1; i < name.length; i += 1) {
    if (name[i] === "<" && name[i - 1] !== "<") depth += 1;
    else if (name[i] === ">" && name[i - 1] !== "-") depth -= 1;
    else if (name[i] === "(" && depth === 0 && !name.startsWith("(anonymous", i)) return name.slice(0, i);
  }
  return name;
}

function nm(...args: readonly string[]): string[] {
  const { stdout } = spawnSync("nm", ["-C", "-S", "-n", ...args], { encoding: "utf8", maxBuffer: NM_BYTES_MAX });
  return (stdout ?? "").split("\n").filter((line) => !line.startsWith(" ") && line !== "");
}

/** From the program header of the part with code (ELF-64, little endian). */
function shiftOf(file: string): number {
  const bytes = readFileSync(file);
  const [begin, size, count] = [Number(bytes.readBigUInt64LE(32)), bytes.readUInt16LE(54), bytes.readUInt16LE(56)];
  for (let at = begin; at < begin + count * size; at += size) {
    const isCode = bytes.readUInt32LE(at) === LOADED && (bytes.readUInt32LE(at + 4) & EXECUTABLE) !== 0;
    if (isCode) return Number(bytes.readBigUInt64LE(at + 16) - bytes.readBigUInt64LE(at + 8));
  }
  return 0;
}

/** Index of the last entry that begins at `address` or before; -1: none does. */
function lastBegun(entries: readonly Entry[], address: number): number {
  let [low, high] = [0, entries.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((entries[middle]?.begin ?? 0) <= address) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
