/**
 * Proof that the rig works: scanners that are wrong in one small way each must be caught. A rig that lets one pass
 * proves nothing about the real one.
 */
import { ok, strictEqual } from "node:assert/strict";
import { describe, it } from "node:test";
import { JsonMaker } from "./json-maker.ts";
import { mutate } from "./mutation.ts";
import { Random } from "./random.ts";
import { disagreement, realScanner, type Scanner, type Verdict } from "./request-comparison.ts";

const BODIES_MAX = 50_000;
/** Fixed: what is tested here is the rig, on the same bodies each time. */
const SEED = 20_260_101;

function withFields(verdict: Verdict, changes: Partial<Verdict["fields"]>): Verdict {
  return { ...verdict, fields: { ...verdict.fields, ...changes } };
}

function textScanner(change: (text: string) => string): Scanner {
  return (body, depthMax) => {
    const text = change(Buffer.from(body).toString("latin1"));
    return realScanner(Buffer.from(text, "latin1"), depthMax);
  };
}

const BROKEN: Readonly<Record<string, Scanner>> = {
  "ignores the last byte": (body, depthMax) => realScanner(body.subarray(0, -1), depthMax),
  "accepts trailing commas": textScanner((text) => text.replace(/,(\s*[\]}])/g, " $1")),
  "accepts the character NUL": textScanner((text) => text.replaceAll("\0", "_")),
  "knows no escapes in keys": textScanner((text) => text.replace(/"m\\u006f/gi, '"n\\u006f')),
  "reads one byte behind the body": (body, depthMax) => {
    const behind = new Uint8Array(body.buffer)[body.byteOffset + body.length] ?? 0;
    const verdict = realScanner(body, depthMax);
    return { ...verdict, textBytes: verdict.textBytes + Math.sign(behind) };
  },
  "ends the model one byte early": (body, depthMax) => {
    const verdict = realScanner(body, depthMax);
    return withFields(verdict, { modelEnd: verdict.fields.modelEnd - 1 });
  },
  "takes stream for true when it is null": (body, depthMax) => {
    const verdict = realScanner(body, depthMax);
    const isNull = /"stream"\s*:\s*null/.test(Buffer.from(body).toString("latin1"));
    return withFields(verdict, { stream: verdict.fields.stream || isNull });
  },
};

/** Bodies that the rig tried until it caught the scanner; BODIES_MAX: it did not. */
function bodiesUntilCaught(scanner: Scanner): number {
  const random = new Random(SEED);
  for (let tried = 0; tried < BODIES_MAX; tried += 1) {
    const body = Buffer.from(new JsonMaker(random).document());
    if (disagreement(scanner, random, random.chance(0.5) ? body : mutate(random, body)) !== null) return tried;
  }
  return BODIES_MAX;
}

describe("the rig catches a scanner that", () => {
  for (const [fault, scanner] of Object.entries(BROKEN)) {
    it(fault, () => ok(bodiesUntilCaught(scanner) < BODIES_MAX));
  }

  it("and not the real one, on the same bodies", () => {
    strictEqual(bodiesUntilCaught(realScanner), BODIES_MAX);
  });
});
