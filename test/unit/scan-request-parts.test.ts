/** The request scan of bodies in pieces by example: what is told when. Agreement with the scan of the whole is in test/fuzz. */
import { deepStrictEqual, strictEqual, throws } from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { PART_SCANS_MAX } from "../../src/base/limits.ts";
import {
  RequestScan,
  SCAN_DUPLICATE,
  SCAN_INVALID,
  SCAN_OK,
  SCAN_TOO_DEEP,
  SCAN_UTF8,
  SCAN_WRONG_TYPE,
} from "../../src/providers/request-scan.ts";
import { partScansOpen, RequestScanParts } from "../../src/providers/request-scan-parts.ts";

const DEPTH = 128;
const parts = new RequestScanParts();
const opened: number[] = [];

function open(): number {
  const slot = parts.open();
  opened.push(slot);
  return slot;
}

/** Gives a new scan all of `body` up to `come`, in a memory of its own. */
function begun(body: string, come = Buffer.byteLength(body)): number {
  const slot = open();
  strictEqual(more(slot, body, come), SCAN_OK);
  return slot;
}

function more(slot: number, body: string, come = Buffer.byteLength(body), last = false): number {
  return parts.more(slot, Uint8Array.from(Buffer.from(body).subarray(0, come)), DEPTH, last);
}

const filling = "x".repeat(1_000);

afterEach(() => {
  for (const slot of opened.splice(0)) parts.close(slot);
  strictEqual(partScansOpen(), 0);
});

describe("request scan in pieces: what is told early", () => {
  it("tells the model when it has passed, with a rest of less than 64 bytes not looked at", () => {
    const head = '{"model":"gpt-4o","messages":["';
    const slot = begun(head);
    deepStrictEqual([parts.modelSeen, parts.modelEnd, parts.checked], [false, -1, 0]);
    strictEqual(more(slot, head + filling), SCAN_OK);
    deepStrictEqual([parts.modelSeen, parts.modelStart, parts.modelEnd], [true, 9, 17]);
    strictEqual(parts.objectStart, 0);
  });

  it("says that a field's key has been before its value has ended", () => {
    const body = `{"model":"${filling}","stream":true,"stream_options":{"a":"${filling}`;
    const slot = begun(body, 1_000);
    deepStrictEqual([parts.modelSeen, parts.modelEnd, parts.checked], [true, -1, 1]);
    strictEqual(more(slot, body, 1_024), SCAN_OK);
    deepStrictEqual([parts.modelEnd, parts.streamSeen, parts.streamKnown], [1_011, true, false]);
    strictEqual(more(slot, body), SCAN_OK);
    deepStrictEqual([parts.streamKnown, parts.stream], [true, true]);
    deepStrictEqual([parts.optionsSeen, parts.optionsStart, parts.optionsEnd], [true, 1_043, -1]);
  });

  it("tells the options when they are whole", () => {
    const body = `{"stream_options":{"include_usage":true},"a":"${filling}`;
    const slot = begun(body);
    deepStrictEqual([parts.optionsSeen, parts.optionsStart, parts.optionsEnd], [true, 18, 40]);
    strictEqual(parts.includeUsage, true);
    strictEqual(more(slot, `${body}"}`, undefined, true), SCAN_OK);
  });

  it("does not take a name in other case for the field", () => {
    begun(`{"MODEL":"gpt-4o","a":"${filling}`);
    deepStrictEqual([parts.modelSeen, parts.modelStart], [false, -1]);
  });
});

describe("request scan in pieces: how far it is checked", () => {
  it("checks what has come of a long string, in steps of 64 bytes", () => {
    const body = `{"model":"m","a":["data:${filling}${filling}`;
    const slot = begun(body, 1_000);
    strictEqual(parts.checked, 960);
    strictEqual(more(slot, body, 2_000), SCAN_OK);
    strictEqual(parts.checked, 1_984);
  });

  it("does not check a part of a routing field", () => {
    begun(`{"a":1,"stream_options":{"b":"${filling}`);
    strictEqual(parts.checked, 7);
  });

  it("does not check a part of a character or of an escape", () => {
    for (const cut of ["é", "\\n", "\\u00e9"]) {
      const body = `{"a":"${"x".repeat(57)}${cut}${filling}`;
      begun(body, 64);
      strictEqual(parts.checked, 63, cut);
    }
  });

  it("checks the last bracket with the end of the body only", () => {
    const body = `{"a":"${filling}"}`;
    const slot = begun(`${body}${" ".repeat(1_000)}`);
    strictEqual(parts.checked, body.length - 1);
    strictEqual(more(slot, `${body}${" ".repeat(1_000)}`, undefined, true), SCAN_OK);
    strictEqual(parts.checked, body.length + 1_000);
  });

  it("checks nothing of a body that is no object", () => {
    begun(`["${filling}","${filling}`);
    strictEqual(parts.checked, 0);
  });
});

describe("request scan in pieces: verdicts", () => {
  it("refuses what is wrong when it comes, and stays with that", () => {
    const wrong: [string, number][] = [
      [`{"a" 1,"b":"${filling}`, SCAN_INVALID],
      [`{"a":"\n${filling}`, SCAN_INVALID],
      [`{"a":"\\q${filling}`, SCAN_INVALID],
      [`{"a":1\\${filling}`, SCAN_INVALID],
      [`{"model":"a","model":"${filling}","b":1`.padEnd(1_100), SCAN_DUPLICATE],
      [`{"stream":"${filling}","b":1`.padEnd(1_100), SCAN_WRONG_TYPE],
      ["[".repeat(1_000), SCAN_TOO_DEEP],
    ];
    for (const [body, code] of wrong) {
      const slot = open();
      strictEqual(more(slot, body), code, body);
      strictEqual(more(slot, `${body}"}`, undefined, true), code, body);
    }
  });

  it("refuses broken UTF-8 with the piece that breaks it", () => {
    const slot = open();
    const body = Buffer.concat([Buffer.from(`{"a":"${"x".repeat(57)}`), Buffer.from([0xc3]), Buffer.from(filling)]);
    strictEqual(parts.more(slot, body.subarray(0, 64), DEPTH, false), SCAN_OK);
    strictEqual(parts.more(slot, body, DEPTH, false), SCAN_UTF8);
  });

  it("takes a body that comes at once, and refuses an empty one", () => {
    strictEqual(more(open(), '{"model":"m"}', undefined, true), SCAN_OK);
    strictEqual(more(open(), "", undefined, true), SCAN_INVALID);
  });
});

describe("request scan in pieces: a model that is replaced", () => {
  it("goes on behind a longer name", () => {
    const old = `{"a":1,"model":"m","b":"${filling}`;
    const tail = '","stream_options":{"include_usage":false}}';
    const slot = begun(old);
    const { checked, modelEnd } = parts;
    parts.shift(slot, 10);
    deepStrictEqual([parts.modelEnd, parts.checked], [modelEnd + 10, checked + 10]);
    const body = `{"a":1,"model":"m0123456789","b":"${filling}${tail}`;
    strictEqual(more(slot, body, undefined, true), SCAN_OK);
    const { optionsStart, includeUsageEnd, textBytes } = parts;
    const whole = new RequestScan();
    strictEqual(whole.scan(Buffer.from(body), DEPTH), SCAN_OK);
    deepStrictEqual(
      [whole.optionsStart, whole.includeUsageEnd, whole.textBytes],
      [optionsStart, includeUsageEnd, textBytes],
    );
  });

  it("is refused before the model is known, and where the model would have no room", () => {
    throws(() => parts.shift(begun(`{"a":"${filling}`), 1), { code: "SLUICE_SCAN" });
    throws(() => parts.shift(begun(`{"model":"m","a":"${filling}`), -3), { code: "SLUICE_SCAN" });
  });
});

describe("request scan in pieces: slots", () => {
  it("are as many as the limit says, and can be taken again", () => {
    for (let taken = 0; taken < PART_SCANS_MAX; taken += 1) open();
    strictEqual(partScansOpen(), PART_SCANS_MAX);
    strictEqual(parts.open(), -1);
    parts.close(opened.pop() ?? -1);
    strictEqual(more(open(), '{"model":"m"}', undefined, true), SCAN_OK);
  });

  it("do not know each other's bodies", () => {
    const one = begun(`{"model":"one","a":"${filling}`);
    const two = begun(`{"a":"${filling}`);
    strictEqual(more(one, `{"model":"one","a":"${filling}"}`, undefined, true), SCAN_OK);
    strictEqual(parts.modelStart, 9);
    strictEqual(more(two, `{"a":"${filling}"}`, undefined, true), SCAN_OK);
    strictEqual(parts.modelStart, -1);
  });

  it("throw when they are not open, and when a body becomes shorter", () => {
    throws(() => more(PART_SCANS_MAX, "{}"), { code: "SLUICE_SCAN" });
    const slot = begun(`{"a":"${filling}`);
    throws(() => more(slot, "{}"), { code: "SLUICE_SCAN" });
    const closed = parts.open();
    parts.close(closed);
    throws(() => parts.close(closed), { code: "SLUICE_SCAN" });
  });
});
