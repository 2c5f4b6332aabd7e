/**
 * The request scan that looks for what conditions and capabilities ask: it says what the plain one says, and finds what JSON.parse finds, in
 * a whole body and in pieces.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { describe, it } from "node:test";
import { RequestScan, SCAN_OK, type ScanFields } from "../../src/providers/request-scan.ts";
import { RequestScanParts } from "../../src/providers/request-scan-parts.ts";
import { JsonMaker } from "./json-maker.ts";
import { featuresOf, isListed, LOOKED_FOR, lookDocument, spelled } from "./look-oracle.ts";
import { mutate } from "./mutation.ts";
import { partCuts, partsProblem, splicedProblem } from "./parts-comparison.ts";
import { Random } from "./random.ts";
import { disagreement, scannerOf } from "./request-comparison.ts";
import { fuzz } from "./trials.ts";

const DEPTH = 128;

class Looking extends RequestScan {
  override scan(body: Uint8Array, depthMax: number): number {
    return this.scanFor(LOOKED_FOR, body, depthMax);
  }
}

class LookingParts extends RequestScanParts {
  override open(): number {
    return super.open(LOOKED_FOR);
  }
}

const WHOLE = [new Looking(), new Looking(true)];
const PARTS = [new LookingParts(), new LookingParts(true)];

interface Found {
  readonly features: number;
  readonly listed: boolean;
  /** The values that were looked for; undefined: there is none, or it is an object or array. */
  readonly values: readonly unknown[];
}

function foundBy(scan: ScanFields, body: Buffer): Found {
  const values = LOOKED_FOR.map((_, place) => {
    const [start, end] = [scan.fieldStart(place), scan.fieldEnd(place)];
    return start < 0 || end < 0 ? undefined : JSON.parse(body.toString("utf8", start, end));
  });
  return { features: scan.features, listed: scan.listed, values };
}

function inPieces(parts: RequestScanParts, random: Random, body: Buffer): Found {
  const slot = parts.open();
  try {
    for (const cut of partCuts(random, body.length)) parts.more(slot, body.subarray(0, cut), DEPTH, false);
    strictEqual(parts.more(slot, body, DEPTH, true), SCAN_OK);
    return foundBy(parts, body);
  } finally {
    parts.close(slot);
  }
}

function expectedOf(text: string): Found {
  const document = JSON.parse(text);
  const scalar = (value: unknown) => typeof value !== "object" || value === null;
  const values = LOOKED_FOR.map((name) => (scalar(document[name]) ? document[name] : undefined));
  return { features: featuresOf(document), listed: isListed(document), values };
}

describe("a request scan that looks for more", () => {
  it("says of documents what the plain one says", () => {
    fuzz(4_000, (random) => {
      const body = Buffer.from(new JsonMaker(random).document());
      const damaged = random.chance(0.5) ? mutate(random, body) : body;
      for (const scan of WHOLE) strictEqual(disagreement(scannerOf(scan), random, damaged), null);
    });
  });

  it("says of pieces what the plain one says", () => {
    fuzz(1_500, (random) => {
      const body = Buffer.from(
        random.chance(0.5) ? new JsonMaker(random).document() : spelled(random, lookDocument(random)),
      );
      const damaged = random.chance(0.3) ? mutate(random, body) : body;
      const cuts = partCuts(random, damaged.length);
      for (const parts of PARTS) {
        const problem = random.chance(0.5)
          ? partsProblem(parts, damaged, cuts, DEPTH)
          : splicedProblem(parts, random, damaged, cuts, DEPTH);
        strictEqual(problem, null, JSON.stringify(damaged.toString("latin1")));
      }
    });
  });

  it("finds what JSON.parse finds", () => {
    fuzz(6_000, (random) => {
      const text = spelled(random, lookDocument(random));
      const body = Buffer.from(text);
      for (const scan of WHOLE) {
        strictEqual(scan.scan(body, DEPTH), SCAN_OK, text);
        deepStrictEqual(foundBy(scan, body), expectedOf(text), text);
      }
    });
  });

  it("finds it in pieces", () => {
    fuzz(2_000, (random) => {
      const text = spelled(random, lookDocument(random));
      for (const parts of PARTS) deepStrictEqual(inPieces(parts, random, Buffer.from(text)), expectedOf(text), text);
    });
  });

  it("would not pass if it missed one kind", () => {
    const random = new Random(20_261_121);
    const seen = new Set<number>();
    for (let tried = 0; tried < 2_000; tried += 1) {
      const { features, values } = expectedOf(spelled(random, lookDocument(random)));
      for (let place = 0; place < 4; place += 1) if ((features & (1 << place)) !== 0) seen.add(place);
      for (const [place, value] of values.entries()) if (value !== undefined) seen.add(10 + place);
    }
    ok(seen.size === 4 + LOOKED_FOR.length, [...seen].join());
  });
});
