/** What the request scan costs when the body comes in pieces, over one call for the whole; and what one large piece takes. */
import { JSON_DEPTH_DEFAULT } from "../../src/base/limits.ts";
import { RequestScan, SCAN_OK } from "../../src/providers/request-scan.ts";
import { RequestScanParts } from "../../src/providers/request-scan-parts.ts";
import { chatBody, type Shape } from "../chat-body.ts";
import { compare } from "./contest.ts";

const SIZES = [65_536, 1_048_576];
const PIECES = [16_384, 65_536, 524_288];
const SHAPES: readonly Shape[] = ["conversation", "unicode", "tools"];
const whole = new RequestScan();

/** Scans the body as if it came in pieces of `pieceBytes`. */
function inPieces(parts: RequestScanParts, body: Buffer, pieceBytes: number): () => number {
  const come: Buffer[] = [];
  for (let end = pieceBytes; end < body.length; end += pieceBytes) come.push(body.subarray(0, end));
  return () => {
    const slot = parts.open();
    for (const piece of come) parts.more(slot, piece, JSON_DEPTH_DEFAULT, false);
    const code = parts.more(slot, body, JSON_DEPTH_DEFAULT, true);
    parts.close(slot);
    return code;
  };
}

function contestantsOf(name: string, parts: RequestScanParts, body: Buffer): [string, () => number][] {
  const pieces = PIECES.filter((pieceBytes) => pieceBytes < body.length);
  return pieces.map((pieceBytes) => [`${name} of ${pieceBytes}`, inPieces(parts, body, pieceBytes)]);
}

for (const shape of SHAPES) {
  for (const size of SIZES) {
    const body = chatBody("gpt-4o", size, shape);
    const contestants: [string, () => number][] = [
      ["whole", () => whole.scan(body, JSON_DEPTH_DEFAULT)],
      ...contestantsOf("pieces", new RequestScanParts(), body),
      // As CPUs without AVX-512 have it.
      ...contestantsOf("pieces, portable,", new RequestScanParts(true), body),
    ];
    for (const [name, scan] of contestants) if (scan() !== SCAN_OK) throw new Error(`not accepted: ${name}`);
    compare(`${shape}, ${body.length} bytes`, "whole", Object.fromEntries(contestants));
  }
}
