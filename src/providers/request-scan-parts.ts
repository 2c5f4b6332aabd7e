/**
 * The request scan of a body that comes in pieces: the same verdict and the same fields as RequestScan's over the whole, told as
 * soon as they have passed. Gateway worker. A scan is a slot in the addon (native/scan-parts.cc) that must be closed exactly once.
 *
 * The fields are those of the scan that more() or shift() was called for last, in any instance: read them at once.
 */
import { JSON_DEPTH_MAX, PART_SCANS_MAX } from "../base/limits.ts";
import { native } from "../native/native.ts";
import { lookFor, ScanFields } from "./request-scan.ts";

export class RequestScanParts extends ScanFields {
  readonly #portable: boolean;

  /** `portable`: without what only this CPU can do. */
  constructor(portable = false) {
    super();
    this.#portable = portable;
  }

  /** A slot; -1: all are taken. `fields`: as in scanFor(); null: it only scans. */
  open(fields: readonly string[] | null = null): number {
    if (fields !== null) lookFor(fields);
    return native.scanOpen(this.#portable, PART_SCANS_MAX, fields !== null);
  }

  /**
   * Looks at what is new. `body`: all of the body that has come, with the same bytes as before, wherever they are now. `last`: that
   * is the whole body. A SCAN_ code, as RequestScan has them; of a piece SCAN_OK says that nothing wrong has come yet. With
   * two faults in a body it is the code of the one that came first. A code other than SCAN_OK stays.
   */
  more(slot: number, body: Uint8Array, depthMax: number, last: boolean): number {
    return native.scanMore(slot, body, Math.min(depthMax, JSON_DEPTH_MAX), last);
  }

  /**
   * The value of `model` has another length by `delta` from now on, and what comes behind it has moved: with the next more() it
   * is there. Only when the value is known (`modelEnd`). `modelEscaped` stays that of the client's value.
   */
  shift(slot: number, delta: number): void {
    native.scanShift(slot, delta);
  }

  close(slot: number): void {
    native.scanClose(slot);
  }

  /**
   * Bytes of the body that were found right: whole tokens, and whatever has come of a long string that is a value. Never the
   * last bracket before the body has ended, and of a routing field's member all or nothing. Grows only.
   */
  get checked(): number {
    return this.field(13);
  }
  /** Whether the field's key has come: then the value is known (`modelEnd`, `streamKnown`, `optionsEnd`), or is coming. */
  get modelSeen(): boolean {
    return this.#seen(1);
  }
  get streamSeen(): boolean {
    return this.#seen(2);
  }
  get optionsSeen(): boolean {
    return this.#seen(3);
  }
  /** Whether the value of `stream` has come; before that `stream` may be true already. */
  get streamKnown(): boolean {
    return this.field(15) === 1;
  }

  #seen(field: number): boolean {
    return (this.field(14) & (1 << field)) !== 0;
  }
}

/** Scans taken: 0 when no body is coming. */
export function partScansOpen(): number {
  return native.scansOpen();
}
