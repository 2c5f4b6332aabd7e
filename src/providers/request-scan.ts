/**
 * The request scan: what a JSON body says about routing, as offsets into the client's own bytes. Gateway worker; its
 * fields are those of the thread's last scan, whatever instance made it. The work is done in native/scan.cc.
 */
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
  /** Offset of the opening quote of `user`; -1: there is none. */
  get userStart(): number {
    return this.field(18);
  }
  /** Offset after its closing quote. */
  get userEnd(): number {
    return this.field(19);
  }
  /** Answers that it asks for; -1: it says nothing. */
  get choices(): number {
    return this.field(17);
  }

  protected field(index: number): number {
    return scanned[index] ?? -1;
  }
}

/** Scans a whole body. */
export class RequestScan extends ScanFields {
  readonly #scan: (body: Uint8Array, depthMax: number) => number;

  /** `portable`: without what only this CPU can do. */
  constructor(portable = false) {
    super();
    this.#scan = portable ? native.scanRequestPortable : native.scanRequest;
  }

  /**
   * Scans all of `body`; returns a SCAN_ code. Accepts what JSON.parse accepts in valid UTF-8, as long as the outermost
   * value is an object, routing fields are not repeated and nesting stays within `depthMax` (at most JSON_DEPTH_MAX).
   */
  scan(body: Uint8Array, depthMax: number): number {
    return this.#scan(body, Math.min(depthMax, JSON_DEPTH_MAX));
  }
}
