/** The request scan against JSON.parse: the same documents are accepted, and the same members are found in them. */
import { strictEqual } from "node:assert/strict";
import { describe, it } from "node:test";
import { JSON_DEPTH_MAX } from "../../src/base/limits.ts";
import { corpusFiles } from "./corpus.ts";
import { JsonMaker } from "./json-maker.ts";
import { mutate } from "./mutation.ts";
import type { Random } from "./random.ts";
import { disagreement, portableScanner, realScanner } from "./request-comparison.ts";
import { fuzz } from "./trials.ts";

/** Bodies above this are scanned in memory of their own (KEPT_CAPACITY in native/json-index.cc). */
const KEPT_BYTES = 1_024 * 1_024;

function check(random: Random, body: Uint8Array, depthMax?: number): void {
  strictEqual(disagreement(realScanner, random, body, depthMax), null);
  strictEqual(disagreement(portableScanner, random, body, depthMax), null);
}

function checkText(random: Random, text: string, depthMax?: number): void {
  check(random, Buffer.from(text), depthMax);
}

describe("request scan against JSON.parse", () => {
  it("agrees on documents made by grammar", () => {
    fuzz(12_000, (random) => checkText(random, new JsonMaker(random).document()));
  });

  it("agrees on damaged documents", () => {
    fuzz(25_000, (random) => check(random, mutate(random, Buffer.from(new JsonMaker(random).document()))));
  });

  it("agrees on random bytes", () => {
    fuzz(5_000, (random) => check(random, Uint8Array.from(random.several(100, () => random.below(256)))));
  });

  it("agrees on runs of backslashes at every offset", () => {
    fuzz(1, (random) => {
      for (let offset = 0; offset <= 70; offset += 1) checkBackslashes(random, offset);
    });
  });

  it("agrees on strings that end at every offset", () => {
    fuzz(1, (random) => {
      for (let length = 0; length <= 200; length += 1) checkString(random, "x".repeat(length));
    });
  });

  it("agrees on backslashes and quotes that stand outside of strings", () => {
    fuzz(1, (random) => {
      for (let offset = 0; offset <= 70; offset += 1) checkOutside(random, "x".repeat(offset));
    });
  });

  it("agrees on lines that begin at every offset, in strings and between them", () => {
    fuzz(1, (random) => {
      for (let length = 0; length <= 200; length += 1) checkLines(random, "x".repeat(length));
    });
  });

  it("agrees on nesting up to the limit and above", () => {
    fuzz(200, (random) => {
      const levels = 1 + random.below(200);
      const text = `{"a":${new JsonMaker(random).nested(levels)},"model":"m"}`;
      for (const depthMax of [levels, levels + 1, levels + 2]) checkText(random, text, depthMax);
      check(random, mutate(random, Buffer.from(text)), levels);
    });
  });

  it("refuses absurd nesting at once", () => {
    fuzz(1, (random) => {
      for (const unit of ["[", '{"a":', '[{"model":']) checkText(random, unit.repeat(1_000_000 / unit.length));
      const deepest = new JsonMaker(random).nested(JSON_DEPTH_MAX - 1);
      checkText(random, `{"a":${deepest}}`, JSON_DEPTH_MAX);
    });
  });

  it("agrees on bodies around and above the size of the kept parser", () => {
    for (const size of [KEPT_BYTES - 1, KEPT_BYTES, KEPT_BYTES + 1, KEPT_BYTES + 64, 700_001, 1_500_001]) {
      fuzz(2, (random) => checkLarge(random, size));
    }
  });

  it("agrees on the files of the corpus, plain and as a member", () => {
    fuzz(1, (random) => {
      for (const { bytes } of corpusFiles("json", "")) checkFile(random, bytes);
    });
  });
});

function checkBackslashes(random: Random, offset: number): void {
  for (let run = 0; run <= 9; run += 1) {
    for (const tail of ["", "n", "u", "u00", "u00e9", "u00eG", "x", '"', '","model":"m', "\u0001", "é"]) {
      const text = `${"x".repeat(offset)}${"\\".repeat(run)}${tail}`;
      checkText(random, `{"a":"${text}","stream":true}`);
      checkText(random, `{"a":"${text}"}`);
    }
  }
}

function checkString(random: Random, text: string): void {
  for (const end of ["", "é", "😀", "\\n", "\\u00e9", "\\", '"', "\u0000"]) {
    checkText(random, `{"model":"${text}${end}"}`);
    checkText(random, `{"${text}${end}":1,"stream":false`);
  }
}

function checkOutside(random: Random, text: string): void {
  for (const stray of ["\\", '\\"', ' \\"', '\\\\"', '"', '""', '\\"\\"', '\n\\"', "\\n", "\\u0022"]) {
    checkText(random, `{"model":"${text}"${stray},"stream":false}`);
    checkText(random, `{"${text}"${stray}:1}`);
    checkText(random, `{"model":"${text}",${stray}"stream":false}`);
    checkText(random, `{"a":1,"${text}":[1${stray},"b"${stray}]${stray}}`);
  }
}

function checkLines(random: Random, text: string): void {
  for (const line of ["\n", "\r\n  ", "\t", "\f", "\u0000", "\n\u0000"]) {
    checkText(random, `{"a":"${text}",${line}"model":${line}"m"${line}}`);
    checkText(random, `{"a":"${text}\\\\",${line}"b":"é${line}"}`);
    checkText(random, `{"a":"${text}${line}"}`);
  }
}

function checkLarge(random: Random, size: number): void {
  const head = `{"messages":[${random.chance(0.5) ? '{"a":"\\\\"},' : ""}"`;
  const tail = `"],"model":"gpt-4o","stream":true,"stream_options":{"include_usage":false}}`;
  const filling = "x\\n".repeat(size / 3).slice(0, size - head.length - tail.length - 4);
  const text = `${head}${filling}\\n  ${tail}`;
  const body = Buffer.from(text.padEnd(size, " "));
  strictEqual(body.length, size);
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
