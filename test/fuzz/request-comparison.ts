/**
 * Compares a request scanner with the oracle on one body. The scanner sees the body twice: alone, and as a part of a
 * larger buffer at an odd offset with hostile bytes behind it, which must change nothing.
 */
import { isDeepStrictEqual } from "node:util";
import {
  RequestScan,
  SCAN_DUPLICATE,
  SCAN_OK,
  SCAN_WRONG_TYPE,
  type ScanFields,
} from "../../src/providers/request-scan.ts";
import type { Random } from "./random.ts";
import { expectedOf, type Fields } from "./request-oracle.ts";

export interface Verdict {
  readonly code: number;
  readonly detail: number;
  readonly textBytes: number;
  readonly fields: Fields;
}

export type Scanner = (body: Uint8Array, depthMax: number) => Verdict;

const DEPTH_MAX = 128;
const HOSTILE = ['"}', "]}}", ',"model":"evil"}', "\\", "\\\\\\", '"', "true", "000", " \n", "\xff\xfe"].map((text) =>
  Buffer.from(text.repeat(16), "latin1"),
);

/** The scanner under test, as this CPU has it. */
export const realScanner = scannerOf(new RequestScan());
/** The same without what only this CPU can do: what other CPUs have. */
export const portableScanner = scannerOf(new RequestScan(true));

export function scannerOf(scan: RequestScan): Scanner {
  return (body, depthMax) => verdictOf(scan, scan.scan(body, depthMax));
}

export function verdictOf(scan: ScanFields, code: number): Verdict {
  const { detail, textBytes, objectStart, modelStart, modelEnd, modelEscaped, stream } = scan;
  const { optionsStart, optionsEnd, optionsNull, optionsEmpty } = scan;
  const { includeUsageStart, includeUsageEnd, includeUsage } = scan;
  const model = { modelStart, modelEnd, modelEscaped };
  const options = { optionsStart, optionsEnd, optionsNull, optionsEmpty };
  const usage = { includeUsageStart, includeUsageEnd, includeUsage };
  return { code, detail, textBytes, fields: { objectStart, ...model, stream, ...options, ...usage } };
}

/** How `scanner` and the oracle disagree on `body`; null: they agree. */
export function disagreement(scanner: Scanner, random: Random, body: Uint8Array, depthMax = DEPTH_MAX): string | null {
  const alone = Uint8Array.from(body);
  const verdict = scanner(alone, depthMax);
  const problem = problemOf(verdict, alone, depthMax) ?? problemBetween(verdict, scanner(amid(random, body), depthMax));
  return problem === null ? null : `${problem}; ${excerpt(body)}`;
}

function problemOf(verdict: Verdict, body: Uint8Array, depthMax: number): string | null {
  const expected = expectedOf(body, depthMax);
  if (!expected.codes.includes(verdict.code)) return `code ${verdict.code}, not one of ${expected.codes}`;
  const soleCode = expected.codes.length === 1;
  if (soleCode && namesField(verdict.code) && verdict.detail !== expected.field) {
    return `field ${verdict.detail}, not ${expected.field}`;
  }
  if (!isWithin(verdict.detail, body) || !isWithin(verdict.textBytes, body)) return "a figure beyond the body";
  if (verdict.code !== SCAN_OK || isDeepStrictEqual(verdict.fields, expected.fields)) return null;
  return `${JSON.stringify(verdict.fields)}, not ${JSON.stringify(expected.fields)}`;
}

function problemBetween(alone: Verdict, amidst: Verdict): string | null {
  if (isDeepStrictEqual(alone, amidst)) return null;
  return `bytes around the body matter: ${JSON.stringify(alone)}, then ${JSON.stringify(amidst)}`;
}

function namesField(code: number): boolean {
  return code === SCAN_DUPLICATE || code === SCAN_WRONG_TYPE;
}

function isWithin(value: number, body: Uint8Array): boolean {
  return value >= -1 && value <= Math.max(body.length, 4);
}

/** A view on a copy of `body` inside of a larger buffer. */
function amid(random: Random, body: Uint8Array): Uint8Array {
  const before = Buffer.alloc(random.below(70), "\\");
  const whole = Buffer.concat([before, body, random.pick(HOSTILE)]);
  return whole.subarray(before.length, before.length + body.length);
}

function excerpt(body: Uint8Array): string {
  return `${body.length} bytes: ${JSON.stringify(Buffer.from(body.subarray(0, 400)).toString("latin1"))}`;
}
