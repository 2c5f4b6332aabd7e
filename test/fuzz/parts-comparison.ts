/**
 * The request scan of bodies in pieces against the scan of the whole: the same verdict, and at each piece nothing that the whole would
 * not bear out. For the request scan's fuzz tests.
 */
import { isDeepStrictEqual } from "node:util";
import { SCAN_OK } from "../../src/providers/request-scan.ts";
import type { RequestScanParts } from "../../src/providers/request-scan-parts.ts";
import type { Random } from "./random.ts";
import { realScanner, type Verdict, verdictOf } from "./request-comparison.ts";
import { expectedOf, streamStartOf } from "./request-oracle.ts";
import { everyByte, randomCuts } from "./response-run.ts";

/** What a piece told. */
interface Told {
  readonly verdict: Verdict;
  readonly checked: number;
  readonly streamKnown: boolean;
  readonly seen: readonly boolean[];
  /** Whether the body had ended. */
  readonly last: boolean;
  /** Bytes that had come. */
  readonly come: number;
  /** The beginning of the body up to `checked`, when it is more than at the piece before. */
  readonly prefix: Buffer | null;
}

const STEP = 64;
/** Prefixes of larger bodies are not looked at. */
const PREFIX_BYTES_MAX = 4_000;
const NAMES = ['""', '"m"', '"gpt-4o-mini-2024-07-18"', `"${"long".repeat(40)}"`];
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Ascending offsets at random places, at every byte, or around the borders of steps. */
export function partCuts(random: Random, length: number): number[] {
  const kind = random.below(4);
  // Every piece costs a copy of all before it.
  if (length > PREFIX_BYTES_MAX) return fewCuts(random, length, kind < 2 ? STEP : 1);
  if (kind === 0) return everyByte(length);
  if (kind < 3) return randomCuts(random, length);
  const borders = Array.from({ length: Math.floor(length / STEP) }, (_, step) => step * STEP + random.below(3) - 1);
  return borders.filter((at) => at >= 0 && random.chance(0.7));
}

/** At multiples of `unit`. */
function fewCuts(random: Random, length: number, unit: number): number[] {
  const cuts = random.several(30, () => random.below(Math.floor(length / unit)) * unit);
  return cuts.sort((a, b) => a - b);
}

/** How the scan of `body`, cut at `cuts` (ascending offsets), is wrong; null: it is not. */
export function partsProblem(
  parts: RequestScanParts,
  body: Uint8Array,
  cuts: readonly number[],
  depthMax: number,
): string | null {
  return new PartsRun(parts, body, depthMax).problem(cuts);
}

/** The same; the value of `model` is replaced, when it is known, by another one. */
export function splicedProblem(
  parts: RequestScanParts,
  random: Random,
  body: Uint8Array,
  cuts: readonly number[],
  depthMax: number,
): string | null {
  const run = new PartsRun(parts, body, depthMax);
  run.name = Buffer.from(random.pick(NAMES));
  return run.problem(cuts);
}

class PartsRun {
  /** What the model's value is replaced by. */
  name: Uint8Array | null = null;
  private readonly parts: RequestScanParts;
  private readonly depthMax: number;
  private readonly slot: number;
  private readonly told: Told[] = [];
  private body: Uint8Array;
  private delta = 0;
  private spliced = false;

  constructor(parts: RequestScanParts, body: Uint8Array, depthMax: number) {
    this.parts = parts;
    this.body = body;
    this.depthMax = depthMax;
    this.slot = parts.open();
  }

  problem(cuts: readonly number[]): string | null {
    try {
      this.feed(cuts);
    } finally {
      this.parts.close(this.slot);
    }
    return this.verdictProblem() ?? this.earlyProblem();
  }

  private feed(cuts: readonly number[]): void {
    for (const cut of cuts) {
      if (this.more(cut + this.delta, false) !== SCAN_OK) return;
      if (this.parts.modelEnd >= 0 && this.name !== null) this.splice(this.name, cut + this.delta);
    }
    this.more(this.body.length, true);
  }

  /** A copy with nothing of the body behind it. */
  private more(come: number, last: boolean): number {
    const code = this.parts.more(this.slot, Uint8Array.from(this.body.subarray(0, come)), this.depthMax, last);
    this.keep(code, come, last);
    return code;
  }

  private keep(code: number, come: number, last: boolean): void {
    const { parts } = this;
    const { checked, streamKnown } = parts;
    const grown = checked > (this.told.at(-1)?.checked ?? 0);
    this.told.push({
      verdict: verdictOf(parts, code),
      checked,
      streamKnown,
      seen: [parts.modelSeen, parts.streamSeen, parts.optionsSeen],
      last,
      come,
      prefix: grown ? Buffer.from(this.body.subarray(0, checked)) : null,
    });
  }

  /** Where `checked` was beyond the name nothing may be replaced any more, but can be: what was told is told again. */
  private splice(name: Uint8Array, come: number): void {
    const { modelStart, modelEnd } = this.parts;
    this.body = Buffer.concat([this.body.subarray(0, modelStart), name, this.body.subarray(modelEnd)]);
    this.name = null;
    this.spliced = true;
    this.delta = name.length - (modelEnd - modelStart);
    this.parts.shift(this.slot, this.delta);
    this.told.length = 0;
    this.keep(SCAN_OK, come + this.delta, false);
  }

  private verdictProblem(): string | null {
    const whole = realScanner(Uint8Array.from(this.body), this.depthMax);
    const last = this.told.at(-1);
    if (last === undefined) return "nothing was told";
    if (whole.code === SCAN_OK) return this.acceptedProblem(whole, last);
    const { codes, field } = expectedOf(this.body, this.depthMax);
    if (!codes.includes(last.verdict.code)) return `code ${last.verdict.code}, not one of ${codes}`;
    const sole = codes.length === 1 && field > 0;
    return sole && last.verdict.detail !== field ? `field ${last.verdict.detail}, not ${field}` : null;
  }

  private acceptedProblem(whole: Verdict, { verdict, checked, come }: Told): string | null {
    const wanted = this.spliced ? asClientHad(verdict, whole) : whole;
    if (!isDeepStrictEqual(verdict, wanted)) return `${JSON.stringify(verdict)}, not ${JSON.stringify(wanted)}`;
    return checked === come ? null : `${checked} of ${come} bytes checked at the end`;
  }

  private earlyProblem(): string | null {
    const accepted = this.told.at(-1)?.verdict.code === SCAN_OK;
    const streamStart = accepted ? streamStartOf(this.body) : -1;
    let before = 0;
    for (const told of this.told) {
      const problem =
        checkedProblem(told, before) ?? (accepted ? (this.toldProblem(told) ?? heldProblem(told, streamStart)) : null);
      if (problem !== null) return `${problem}, after ${told.come} bytes`;
      before = told.checked;
    }
    return null;
  }

  /** What is told early is what is told in the end. */
  private toldProblem({ verdict: { fields }, streamKnown, seen }: Told): string | null {
    const end = this.told.at(-1)?.verdict.fields;
    if (end === undefined) return null;
    const wrong =
      (fields.modelEnd >= 0 && (fields.modelStart !== end.modelStart || fields.modelEnd !== end.modelEnd)) ||
      (fields.modelEnd >= 0 && fields.modelEscaped !== end.modelEscaped) ||
      (streamKnown && fields.stream !== end.stream) ||
      (fields.optionsEnd >= 0 && !sameOptions(fields, end)) ||
      (seen[0] === true && end.modelStart < 0) ||
      (seen[2] === true && end.optionsStart < 0) ||
      (fields.objectStart >= 0 && fields.objectStart !== end.objectStart);
    return wrong ? `${JSON.stringify(fields)} told, then ${JSON.stringify(end)}` : null;
  }
}

/** Less what is said of the client's own name: its escapes, and its length where the key has escapes and it counts as text. */
function asClientHad(verdict: Verdict, whole: Verdict): Verdict {
  const { modelEscaped } = verdict.fields;
  return { ...whole, textBytes: verdict.textBytes, fields: { ...whole.fields, modelEscaped } };
}

function sameOptions(early: Verdict["fields"], end: Verdict["fields"]): boolean {
  const { optionsStart, optionsEnd, optionsNull, optionsEmpty } = end;
  const { includeUsageStart, includeUsageEnd, includeUsage } = end;
  const options = { optionsStart, optionsEnd, optionsNull, optionsEmpty };
  const all = { ...early, ...options, includeUsageStart, includeUsageEnd, includeUsage };
  return isDeepStrictEqual(early, all);
}

function checkedProblem({ checked, come, last, prefix }: Told, before: number): string | null {
  if (checked < before) return `checked falls from ${before} to ${checked}`;
  if (checked > come) return `checked ${checked} of ${come}`;
  if (!last && prefix !== null && isJson(prefix.toString("latin1"))) return "all of a body is checked before its end";
  if (prefix === null || prefix.length > PREFIX_BYTES_MAX || isPrefix(prefix)) return null;
  return `checked, but no beginning of JSON: ${JSON.stringify(prefix.toString("latin1"))}`;
}

/** No routing field stands before `checked` without being known, whole. */
function heldProblem({ verdict: { fields }, checked, streamKnown, seen }: Told, streamStart: number): string | null {
  if (fields.modelStart >= 0 && checked > fields.modelStart && fields.modelEnd < 0) return "a model is not told";
  if (seen[0] === true && fields.modelEnd >= 0 && checked > fields.modelStart && checked < fields.modelEnd) {
    return "a part of the model is checked";
  }
  if (fields.optionsStart >= 0 && checked > fields.optionsStart && fields.optionsEnd < 0) return "options are not told";
  return streamStart >= 0 && checked > streamStart && !streamKnown ? "stream is not told" : null;
}

/** Whether something can follow that makes it JSON. */
function isPrefix(bytes: Uint8Array): boolean {
  const text = decoded(bytes);
  if (text === null) return false;
  const closing = closingOf(text);
  return ["", "0", '"', '":0', ":0", '"":0'].some((filling) => isJson(text + filling + closing));
}

function decoded(bytes: Uint8Array): string | null {
  try {
    return decoder.decode(bytes);
  } catch {
    return null;
  }
}

/** Brackets that close what is open at the end. */
function closingOf(text: string): string {
  const open: string[] = [];
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*(?:"|$)|[[\]{}]/gs)) {
    if (token === "{") open.push("}");
    if (token === "[") open.push("]");
    if (token === "}" || token === "]") open.pop();
  }
  return open.reverse().join("");
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
