/**
 * The request scan: what a JSON body says about routing, as offsets into the client's own bytes. Gateway worker; its
 * fields are those of the thread's last scan, whatever instance made it. The work is done in native/scan.cc.
 */
import { FEATURES_ALL } from "../base/features.ts";
import { JSON_DEPTH_MAX } from "../base/limits.ts";
import { native } from "../native/native.ts";

/** Result codes of native/scan.cc. */
export const SCAN_OK = 0;
export const SCAN_INVALID = 1;
export const SCAN_UTF8 = 2;
export const SCAN_TOO_DEEP = 3;
export const SCAN_NOT_OBJECT = 4;
export const SCAN_DUPLICATE = 5;
export const SCAN_WRONG_TYPE = 6;
export const SCAN_MEMORY = 7;

/** Routing fields by their number in `detail` with SCAN_DUPLICATE and SCAN_WRONG_TYPE. */
export const SCAN_FIELDS = ["", "model", "stream", "stream_options", "stream_options.include_usage"] as const;

const { scanned } = native;
/** Beside the bits of FEATURES. */
const LISTED = 16;
/** Where what lookFor() asked for begins in it. */
const FOUND = 21;

let lookedFor: readonly string[] | null = null;

/** The fields that scans look for which begin from now on, and look for any. */
export function lookFor(fields: readonly string[]): void {
  if (fields === lookedFor) return;
  native.scanLookFor(fields);
  lookedFor = fields;
}

/** What the scan that was called last found. */
export class ScanFields {
  /** Byte offset of the error, or the number of the field in SCAN_FIELDS; -1: not known. */
  get detail(): number {
    return this.field(0);
  }
  /** Offset of the outermost "{". */
  get objectStart(): number {
    return this.field(1);
  }
  /** Offset of the opening quote of `model`; -1: there is none. */
  get modelStart(): number {
    return this.field(2);
  }
  /** Offset after its closing quote. */
  get modelEnd(): number {
    return this.field(3);
  }
  get modelEscaped(): boolean {
    return this.field(4) === 1;
  }
  get stream(): boolean {
    return this.field(5) === 1;
  }
  /** Offset of the value of `stream_options`; -1: there is none. */
  get optionsStart(): number {
    return this.field(6);
  }
  get optionsEnd(): number {
    return this.field(7);
  }
  get optionsNull(): boolean {
    return this.field(8) === 1;
  }
  get optionsEmpty(): boolean {
    return this.field(8) === 2;
  }
  /** Offset of the value of `stream_options.include_usage`; -1: there is none. */
  get includeUsageStart(): number {
    return this.field(9);
  }
  get includeUsageEnd(): number {
    return this.field(10);
  }
  get includeUsage(): boolean {
    return this.field(11) === 1;
  }
  /** Bytes of the string values that a model would read: the base of an estimate of the prompt's size. */
  get textBytes(): number {
    return this.field(12);
  }
  /** The largest number of output tokens that it allows; -1: it says none. */
  get outputMax(): number {
    return this.field(16);
  }
  /** Offset of `user`, of its opening quote if it is a string; -1: there is none, or it is null, an object or a list. */
  get userStart(): number {
    return this.field(18);
  }
  /** Offset after it, or its closing quote. */
  get userEnd(): number {
    return this.field(19);
  }
  /** Answers that it asks for; -1: it says nothing. */
  get choices(): number {
    return this.field(17);
  }

  /** Bits of FEATURES, of a scan that looked for them. */
  get features(): number {
    return this.field(20) & FEATURES_ALL;
  }
  /** Of the same: whether `input` or `prompt` is a list. */
  get listed(): boolean {
    return (this.field(20) & LISTED) !== 0;
  }
  /** Offset of the value of a field that was looked for, by its place; -1: there is none. */
  fieldStart(place: number): number {
    return this.field(FOUND + 2 * place);
  }
  /** Offset after it; -1: it is an object or an array. */
  fieldEnd(place: number): number {
    return this.field(FOUND + 2 * place + 1);
  }

  protected field(index: number): number {
    return scanned[index] ?? -1;
  }
}

/** Scans a whole body. */
export class RequestScan extends ScanFields {
  readonly #scan: (body: Uint8Array, depthMax: number) => number;
  readonly #look: (body: Uint8Array, depthMax: number) => number;

  /** `portable`: without what only this CPU can do. */
  constructor(portable = false) {
    super();
    this.#scan = portable ? native.scanRequestPortable : native.scanRequest;
    this.#look = portable ? native.scanLookPortable : native.scanLook;
  }

  /**
   * Scans all of `body`; returns a SCAN_ code. Accepts what JSON.parse accepts in valid UTF-8, as long as the outermost
   * value is an object, routing fields are not repeated and nesting stays within `depthMax` (at most JSON_DEPTH_MAX).
   */
  scan(body: Uint8Array, depthMax: number): number {
    return this.#scan(body, Math.min(depthMax, JSON_DEPTH_MAX));
  }

  /**
   * The same, and looks for what conditions and capabilities ask: `features`, and the values of these fields of the outermost object,
   * of which at most CONDITION_FIELDS_MAX are taken; of one that is repeated the last.
   */
  scanFor(fields: readonly string[], body: Uint8Array, depthMax: number): number {
    lookFor(fields);
    return this.#look(body, Math.min(depthMax, JSON_DEPTH_MAX));
  }
}
