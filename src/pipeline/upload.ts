/**
 * An upload: a large JSON body that is looked at while it arrives, and that goes upstream as far as it was found right. Gateway
 * worker, main thread; one object per such body, for as long as it comes.
 *
 * The provider is told the length before the whole is known, so the room of what may still have to be put in is counted in from the
 * beginning: the usage option, and in its place white space behind the JSON where it turns out not to be needed. Held back is what
 * the scan has not accepted, and from stream_options on what may have to be changed. The end of the body leaves when the whole was
 * checked, so one that turns out to be malformed never arrives complete.
 */
import { assert } from "../base/assert.ts";
import { UPLOAD_BYTES_MIN } from "../base/limits.ts";
import type { Target } from "../config/snapshot.ts";
import { RequestScanParts } from "../providers/request-scan-parts.ts";
import { takesModel } from "./endpoint.ts";
import type { Exchange } from "./exchange.ts";
import { roomFor, spliceModel, spliceUsageBehind, takesUsage, USAGE_OPTION_BYTES_MAX } from "./splice.ts";

const scan = new RequestScanParts();
const SPACE = 0x20;

export class Upload {
  readonly #slot: number;
  /** Bytes that the provider is told of; 0: it has not been told. */
  #length = 0;
  /** The usage option may have to be added. */
  #optional = false;

  private constructor(slot: number) {
    this.#slot = slot;
  }

  /** Null: the body is not large, has no known length or no model, or too many are being looked at. */
  static of({ contentLength, endpoint, snapshot }: Exchange): Upload | null {
    if (contentLength < UPLOAD_BYTES_MIN || !takesModel(endpoint)) return null;
    const slot = scan.open(snapshot.fields);
    return slot < 0 ? null : new Upload(slot);
  }

  /** A SCAN_ code of what has come; the fields are those of the scan. */
  look(exchange: Exchange, last: boolean): number {
    const { body, bodyBytes, snapshot } = exchange;
    assert(body !== null, "an upload has a body");
    return scan.more(this.#slot, body.subarray(0, bodyBytes), snapshot.bounds.jsonDepth, last);
  }

  /** It goes to `target`: puts in the model's name, and settles the length. Right behind a look. */
  begin(exchange: Exchange, target: Target): void {
    this.#optional = takesUsage(exchange, target) && (!scan.streamKnown || scan.stream) && !scan.includeUsage;
    const before = exchange.bodyBytes;
    if (target.upstreamModelJson !== null) spliceModel(exchange, target.upstreamModelJson);
    const delta = exchange.bodyBytes - before;
    if (delta !== 0) scan.shift(this.#slot, delta);
    this.#length = exchange.contentLength + delta + (this.#optional ? USAGE_OPTION_BYTES_MAX : 0);
    roomFor(exchange, this.#length);
  }

  /** The body that goes upstream, of its final length. */
  view(exchange: Exchange): Buffer | null {
    return exchange.body === null ? null : exchange.body.subarray(0, this.#length);
  }

  /** How many of its first bytes may leave. Right behind a look, or begin(). */
  ready(): number {
    const held = this.#optional && scan.optionsStart >= 0 && !scan.includeUsage;
    return held ? Math.min(scan.checked, scan.optionsStart) : scan.checked;
  }

  /** The whole was found right: all of it may leave. Right behind the last look. */
  complete(exchange: Exchange, target: Target): number {
    if (this.#optional) spliceUsageBehind(exchange, target);
    exchange.body?.fill(SPACE, exchange.bodyBytes, this.#length);
    exchange.bodyBytes = this.#length;
    return this.#length;
  }

  close(): void {
    scan.close(this.#slot);
  }
}
