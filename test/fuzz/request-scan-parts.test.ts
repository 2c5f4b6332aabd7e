/** The request scan of bodies that come in pieces, against the scan of the whole body and JSON.parse. */
import { strictEqual } from "node:assert/strict";
import { describe, it } from "node:test";
import { JSON_DEPTH_MAX } from "../../src/base/limits.ts";
import { RequestScanParts } from "../../src/providers/request-scan-parts.ts";
import { corpusFiles } from "./corpus.ts";
import { JsonMaker } from "./json-maker.ts";
import { mutate } from "./mutation.ts";
import { partCuts, partsProblem, splicedProblem } from "./parts-comparison.ts";
import type { Random } from "./random.ts";
import { everyByte } from "./response-run.ts";
import { fuzz } from "./trials.ts";

const DEPTH = 128;
const SCANS = [new RequestScanParts(), new RequestScanParts(true)];

function check(random: Random, body: Uint8Array, depthMax = DEPTH): void {
  for (const parts of SCANS) {
    const cuts = partCuts(random, body.length);
    const problem = random.chance(0.7)
      ? partsProblem(parts, body, cuts, depthMax)
      : splicedProblem(parts, random, body, cuts, depthMax);
    strictEqual(
      problem,
      null,
      `${JSON.stringify(Buffer.from(body).toString("latin1").slice(0, 2_000))} cut at ${cuts}`,
    );
  }
}

function checkText(random: Random, text: string): void {
  check(random, Buffer.from(text));
}

/** A document whose parts stand anywhere in the steps of 64 bytes. */
function document(random: Random): string {
  return " ".repeat(random.below(64)) + new JsonMaker(random).document();
}

describe("request scan of bodies in pieces", () => {
  it("agrees on documents made by grammar", () => {
    fuzz(1_500, (random) => checkText(random, document(random)));
  });

  it("agrees on damaged documents", () => {
    fuzz(3_000, (random) => check(random, mutate(random, Buffer.from(document(random)))));
  });

  it("agrees on long strings, white space and numbers in all places", () => {
    fuzz(600, (random) => checkText(random, stretched(random)));
  });

  it("agrees on damaged documents of that kind", () => {
    fuzz(1_000, (random) => check(random, mutate(random, Buffer.from(stretched(random)))));
  });

  it("agrees on long numbers", () => {
    fuzz(1_500, (random) => checkText(random, numbers(random)));
  });

  it("agrees on random bytes", () => {
    fuzz(2_000, (random) => check(random, Uint8Array.from(random.several(200, () => random.below(256)))));
  });

  it("agrees on runs of backslashes at every offset, cut everywhere", () => {
    fuzz(1, (random) => {
      for (let offset = 40; offset <= 70; offset += 1) checkBackslashes(random, "x".repeat(offset));
    });
  });

  it("agrees on escapes and characters across every border", () => {
    fuzz(1, () => {
      for (let offset = 0; offset <= 66; offset += 1) checkBorders("x".repeat(offset));
    });
  });

  it("agrees on nesting up to the limit and above", () => {
    fuzz(300, (random) => {
      const levels = 1 + random.below(200);
      const body = Buffer.from(`{"a":${new JsonMaker(random).nested(levels)},"model":"m"}`);
      for (const depthMax of [levels, levels + 1, levels + 2]) check(random, body, depthMax);
      check(random, mutate(random, body), levels);
    });
  });

  it("agrees on large bodies", () => {
    fuzz(12, (random) => checkLarge(random));
  });

  it("agrees on the files of the corpus, plain and as a member", () => {
    fuzz(1, (random) => {
      for (const { bytes } of corpusFiles("json", "")) checkFile(random, bytes);
    });
  });
});

/** A document in which some white space, strings and numbers are longer than several pieces. */
function stretched(random: Random): string {
  return document(random).replace(/[ \n]|(?<=")(?=[^"\\]*":?)|(?<=[:[,] ?)\d/g, (token) => {
    if (random.chance(0.8)) return token;
    const times = random.pick([60, 64, 70, 128, 200]);
    return (token === "" ? random.pick(["x", "é", "\\n", "\\u00e9"]) : token).repeat(times);
  });
}

/** Numbers and what looks like some, each of several pieces. */
function numbers(random: Random): string {
  const long = (text: string) => text.repeat(random.pick([0, 1, 1, 2, 60, 70, 140]));
  const parts = ["-", "0", "1", ".", "e", "E+", "-", " ", "9", "x"];
  const number = () =>
    random.chance(0.5)
      ? `${random.pick(["", "-"])}${random.pick(["0", "1", "23"])}${long("4")}.5${long("0")}${random.pick(["e", "E-", "e+"])}6${long("7")}`
      : random.several(5, () => long(random.pick(parts))).join("");
  return `{"model":"m","a":${number()}${long(" ")},"stream":true,"b":[${number()},${number()} ]}`;
}

function checkBackslashes(random: Random, offset: string): void {
  for (let run = 0; run <= 9; run += 1) {
    for (const tail of ["", "n", "u00e9", "u00eG", "x", '"', '","model":"m', "\u0001", "é"]) {
      checkText(random, `{"a":"${offset}${"\\".repeat(run)}${tail}","stream":true}`);
      checkText(random, `{"a":"${offset}"${"\\".repeat(run)}${tail},"stream":true}`);
    }
  }
}

function checkBorders(offset: string): void {
  for (const tail of ["\\u00e9", "\\u00x9", "\\\\", "é", "日", "😀", "\u0000", '"', "\\ud83d\\ude00"]) {
    for (const text of [`{"a":"${offset}${tail}","b":1}`, `{"${offset}${tail}":1,"stream":true}`]) {
      const body = Buffer.from(text);
      checkEveryByte(body);
      // Half of a character.
      checkEveryByte(body.subarray(0, offset.length + 8));
      checkEveryByte(Buffer.concat([body.subarray(0, offset.length + 7), Buffer.from('","b":1,"c":"0123456789"}')]));
    }
  }
}

function checkEveryByte(body: Uint8Array): void {
  for (const parts of SCANS) strictEqual(partsProblem(parts, body, everyByte(body.length), DEPTH), null);
}

function checkLarge(random: Random): void {
  const text = random.pick(["x", "é", "\\n", "\\u00e9 ", '","']).repeat(random.below(100_000));
  const members = [`"model":"gpt-4o"`, `"messages":["${text}"]`, `"stream":true`, `"stream_options":{"a":"${text}"}`];
  const body = Buffer.from(`{${members.toSorted(() => random.unit() - 0.5).join(random.pick([",", ", ", ",\n"]))}}`);
  check(random, body);
  check(random, mutate(random, body));
}

function checkFile(random: Random, file: Buffer): void {
  check(random, file);
  for (const head of ['{"a":', '{"model":', '{"stream_options":{"include_usage":']) {
    const tail = head.startsWith('{"stream') ? "}}" : "}";
    check(random, Buffer.concat([Buffer.from(head), file, Buffer.from(tail)]), JSON_DEPTH_MAX);
  }
}
