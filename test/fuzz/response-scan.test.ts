/**
 * The response scan: however an answer is cut, the same is found in it, and that is what JSON.parse finds. Garbage finds
 * nothing and breaks nothing.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { estimateTokens, SEEN_FINISH, scansOpen } from "../../src/providers/response-scan.ts";
import { AnswerMaker, LINE_ENDS } from "./answer-maker.ts";
import { type CorpusFile, corpusFiles } from "./corpus.ts";
import { mutate } from "./mutation.ts";
import type { Random } from "./random.ts";
import { eventsOf, type Found, foundInDocument, foundInEvents, nothingFound } from "./response-oracle.ts";
import { everyByte, type Outcome, randomCuts, runScan } from "./response-run.ts";
import { fuzz } from "./trials.ts";

const ALL_FLAGS = 127;
/** `flags` that callers know; the scanner keeps one more for itself. */
const KNOWN_FLAGS = 31;

function checkFound(outcome: Outcome, found: Found): void {
  strictEqual(outcome.flags & KNOWN_FLAGS, found.flags, "flags");
  deepStrictEqual(outcome.totals, found.totals);
  strictEqual(outcome.estimatedOutputTokens, Math.max(found.deltas, estimateTokens(found.contentBytes)));
}

/** Removing the range of `outcome` removes the oracle's event and nothing else. */
function checkStrip(outcome: Outcome, found: Found, stream: string): void {
  const { start, end } = found.strip ?? { start: -1, end: -1 };
  deepStrictEqual(outcome.strip ?? { start: -1, end: -1 }, { start, end }, JSON.stringify(stream));
}

/** What outcomes of one answer must share, however it was cut. */
function commonOf({ flags, totals, estimatedOutputTokens, boundary }: Outcome): object {
  return { flags, totals, estimatedOutputTokens, boundary };
}

/** Scans `answer` whole, cut at every byte and at random; checks that all agree, and returns each. */
function scanAllWays(random: Random, events: boolean, answer: Uint8Array): Outcome[] {
  const whole = runScan(events, answer, []);
  const pieces = [everyByte(answer.length), randomCuts(random, answer.length), randomCuts(random, answer.length)];
  const outcomes = pieces.map((cuts) => runScan(events, answer, cuts));
  for (const outcome of outcomes) deepStrictEqual(commonOf(outcome), commonOf(whole));
  return [whole, ...outcomes];
}

function checkStream(random: Random, bytes: Buffer): void {
  const stream = bytes.toString("latin1");
  const found = foundInEvents(stream);
  const boundary = eventsOf(stream).at(-1)?.end ?? 0;
  for (const outcome of scanAllWays(random, true, bytes)) {
    checkFound(outcome, found);
    checkStrip(outcome, found, stream);
    ok(outcome.boundary >= boundary);
  }
}

function checkDocument(random: Random, bytes: Buffer): void {
  const found = nothingFound();
  foundInDocument(bytes.toString("latin1"), found);
  for (const outcome of scanAllWays(random, false, bytes)) checkFound(outcome, found);
}

function checkGarbage(random: Random, events: boolean, bytes: Uint8Array): void {
  for (const outcome of scanAllWays(random, events, bytes)) {
    const figures = [...Object.values(outcome.totals), outcome.estimatedOutputTokens];
    ok(
      figures.every((figure) => Number.isSafeInteger(figure) && figure >= 0),
      JSON.stringify(outcome),
    );
    ok(outcome.flags >= 0 && outcome.flags <= ALL_FLAGS);
    ok(outcome.estimatedOutputTokens <= bytes.length);
  }
}

/** A recorded stream as the provider sent it: one event per line of the file. */
function framed(file: CorpusFile, lineEnd: string): Buffer {
  const lines = file.bytes.toString("utf8").split("\n").filter(Boolean);
  return Buffer.from(lines.map((line) => `data: ${line}${lineEnd}${lineEnd}`).join(""));
}

describe("response scan, split at every byte and at random", () => {
  afterEach(() => strictEqual(scansOpen(), 0));

  for (const lineEnd of LINE_ENDS) {
    it(`finds what JSON.parse finds in chat streams with ${JSON.stringify(lineEnd)}`, () => {
      fuzz(500, (random) => checkStream(random, new AnswerMaker(random, lineEnd).chat()));
    });
  }

  it("finds what JSON.parse finds in Responses streams", () => {
    fuzz(500, (random) => checkStream(random, new AnswerMaker(random).responses()));
  });

  it("finds what JSON.parse finds in documents", () => {
    fuzz(2_000, (random) => checkDocument(random, new AnswerMaker(random).document()));
  });

  it("cuts a CRLF stream at every single place", () => {
    fuzz(10, (random) => {
      const bytes = new AnswerMaker(random, "\r\n").chat();
      const stream = bytes.toString("latin1");
      for (let cut = 0; cut <= bytes.length; cut += 1) {
        checkStrip(runScan(true, bytes, [cut]), foundInEvents(stream), stream);
      }
    });
  });

  it("survives damaged streams and documents", () => {
    fuzz(700, (random) => {
      const maker = new AnswerMaker(random);
      checkGarbage(random, true, mutate(random, random.chance(0.5) ? maker.chat() : maker.responses()));
      checkGarbage(random, false, mutate(random, maker.document()));
    });
  });

  it("survives random bytes", () => {
    fuzz(2_000, (random) => {
      const bytes = Uint8Array.from(random.several(200, () => random.below(256)));
      checkGarbage(random, random.chance(0.5), bytes);
    });
  });

  it("survives absurd nesting", () => {
    for (const unit of ["[", "]", "{", '{"usage":', '{"choices":[']) {
      const bytes = Buffer.from(unit.repeat(100_000));
      for (const events of [true, false]) strictEqual(runScan(events, bytes, [7]).flags & SEEN_FINISH, 0);
    }
  });

  it("finds what JSON.parse finds in the recorded streams and documents of the corpus", () => {
    fuzz(1, (random) => {
      for (const file of corpusFiles("providers", ".chunks.txt")) checkRecorded(random, file);
      for (const { bytes } of corpusFiles("providers", ".json")) checkRecordedDocument(random, bytes);
    });
  });
});

function checkRecorded(random: Random, file: CorpusFile): void {
  const bytes = framed(file, random.pick(LINE_ENDS));
  const found = foundInEvents(bytes.toString("latin1"));
  for (const outcome of scanAllWays(random, true, bytes)) {
    deepStrictEqual(outcome.totals, found.totals, file.name);
    strictEqual(outcome.strip, null, file.name);
  }
}

function checkRecordedDocument(random: Random, bytes: Buffer): void {
  const found = nothingFound();
  foundInDocument(bytes.toString("latin1"), found);
  for (const { totals } of scanAllWays(random, false, bytes)) deepStrictEqual(totals, found.totals);
}
