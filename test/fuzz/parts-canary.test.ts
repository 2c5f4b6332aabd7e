/** Proof that the rig works for bodies in pieces, too: scans that are wrong in one small way each must be caught. */
import { ok, strictEqual } from "node:assert/strict";
import { describe, it } from "node:test";
import { SCAN_OK } from "../../src/providers/request-scan.ts";
import { RequestScanParts } from "../../src/providers/request-scan-parts.ts";
import { JsonMaker } from "./json-maker.ts";
import { mutate } from "./mutation.ts";
import { partCuts, partsProblem, splicedProblem } from "./parts-comparison.ts";
import { Random } from "./random.ts";

const BODIES_MAX = 3_000;
/** Of the real scan. */
const BODIES_RIGHT = 1_000;
/** Fixed: what is tested here is the rig, on the same bodies each time. */
const SEED = 20_260_102;
const DEPTH = 128;

class LastByte extends RequestScanParts {
  override more(slot: number, body: Uint8Array, depthMax: number, last: boolean): number {
    return super.more(slot, last ? body.subarray(0, -1) : body, depthMax, last);
  }
}

class EarlyEnd extends RequestScanParts {
  override more(slot: number, body: Uint8Array, depthMax: number): number {
    return super.more(slot, body, depthMax, true);
  }
}

class Forgetful extends RequestScanParts {
  private come = 0;

  override more(slot: number, body: Uint8Array, depthMax: number, last: boolean): number {
    const before = Math.min(this.come, body.length);
    this.come = last ? 0 : body.length;
    return super.more(slot, Uint8Array.from(body).fill(0x20, 0, before), depthMax, last);
  }
}

class Deaf extends RequestScanParts {
  override more(slot: number, body: Uint8Array, depthMax: number, last: boolean): number {
    super.more(slot, body, depthMax, last);
    return SCAN_OK;
  }
}

class Ahead extends RequestScanParts {
  override get checked(): number {
    return super.checked + 1;
  }
}

class TooEager extends RequestScanParts {
  override get streamKnown(): boolean {
    return super.streamSeen || super.modelSeen;
  }
}

class HalfName extends RequestScanParts {
  override get modelEnd(): number {
    return super.modelSeen && super.modelEnd < 0 ? super.checked : super.modelEnd;
  }
}

class Unmoved extends RequestScanParts {
  override shift(slot: number, delta: number): void {
    super.shift(slot, delta > 0 ? delta - 1 : delta);
  }
}

const BROKEN: Readonly<Record<string, RequestScanParts>> = {
  "ignores the last byte": new LastByte(),
  "takes every piece for the last": new EarlyEnd(),
  "does not keep what came before": new Forgetful(),
  "refuses nothing": new Deaf(),
  "says that one byte more is checked": new Ahead(),
  "knows the stream with its key": new TooEager(),
  "tells a model whose value has only begun": new HalfName(),
  "moves by one byte too little": new Unmoved(),
};

function problemOf(parts: RequestScanParts, random: Random): string | null {
  const text = " ".repeat(random.below(64)) + new JsonMaker(random).document();
  const body = random.chance(0.5) ? Buffer.from(text) : mutate(random, Buffer.from(text));
  const cuts = partCuts(random, body.length);
  return random.chance(0.5) ? partsProblem(parts, body, cuts, DEPTH) : splicedProblem(parts, random, body, cuts, DEPTH);
}

/** Bodies that the rig tried until it caught the scan; `bodiesMax`: it did not. */
function bodiesUntilCaught(parts: RequestScanParts, bodiesMax: number): number {
  const random = new Random(SEED);
  for (let tried = 0; tried < bodiesMax; tried += 1) if (isCaught(parts, random)) return tried;
  return bodiesMax;
}

/** Some faults make the scan throw. */
function isCaught(parts: RequestScanParts, random: Random): boolean {
  try {
    return problemOf(parts, random) !== null;
  } catch {
    return true;
  }
}

describe("the rig catches a scan in pieces that", () => {
  for (const [fault, parts] of Object.entries(BROKEN)) {
    it(fault, () => ok(bodiesUntilCaught(parts, BODIES_MAX) < BODIES_MAX));
  }

  it("and not the real one, on the same bodies", () => {
    strictEqual(bodiesUntilCaught(new RequestScanParts(), BODIES_RIGHT), BODIES_RIGHT);
  });
});
