/**
 * What the request scan costs over JSON.parse, on realistic chat bodies of four sizes and three shapes. The contestants take turns in
 * short batches, so that a slow moment of the machine hits all of them; the figures are medians over the rounds.
 *
 * `--smoke`: a short run. `--json`: one JSON document instead of the table.
 */
import { parseArgs } from "node:util";
import { JSON_DEPTH_DEFAULT } from "../../src/base/limits.ts";
import { RequestScan, SCAN_OK } from "../../src/providers/request-scan.ts";
import { chatBody, type Shape } from "../chat-body.ts";
import { median } from "../median.ts";

const { values: options } = parseArgs({
  options: { smoke: { type: "boolean", default: false }, json: { type: "boolean", default: false } },
});
const SIZES = [300, 4_096, 65_536, 1_048_576];
const ROUNDS = options.smoke ? 5 : 60;
const BATCH_MS = options.smoke ? 1 : 5;

interface Figures {
  readonly shape: Shape;
  readonly bytes: number;
  readonly scanNs: number;
  /** JSON.parse(body.toString()): what a gateway pays that parses what it received. */
  readonly parseBufferNs: number;
  /** JSON.parse of a string that is already there. */
  readonly parseStringNs: number;
}

const scan = new RequestScan();

/** Nanoseconds per call, over about BATCH_MS. */
function timeBatch(call: () => void, calls: number): number {
  const begin = performance.now();
  for (let i = 0; i < calls; i += 1) call();
  return ((performance.now() - begin) * 1e6) / calls;
}

/** Calls that take about BATCH_MS, once the call is compiled. */
function callsPerBatch(call: () => void): number {
  timeBatch(call, 50);
  const ns = timeBatch(call, 50);
  return Math.max(1, Math.round((BATCH_MS * 1e6) / ns));
}

function measure(shape: Shape, size: number): Figures {
  const body = chatBody("gpt-4o", size, shape);
  const text = body.toString();
  if (scan.scan(body, JSON_DEPTH_DEFAULT) !== SCAN_OK) throw new Error("the body is not accepted");
  const contestants: readonly (() => void)[] = [
    () => scan.scan(body, JSON_DEPTH_DEFAULT),
    () => JSON.parse(body.toString()),
    () => JSON.parse(text),
  ];
  const [scanNs = 0, parseBufferNs = 0, parseStringNs = 0] = race(contestants);
  return { shape, bytes: body.length, scanNs, parseBufferNs, parseStringNs };
}

/** Median nanoseconds per call of each contestant. */
function race(contestants: readonly (() => void)[]): number[] {
  const entries = contestants.map((call) => ({ call, calls: callsPerBatch(call), rounds: [] as number[] }));
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const { call, calls, rounds } of entries) rounds.push(timeBatch(call, calls));
  }
  return entries.map(({ rounds }) => median(rounds));
}

function row(figures: Figures): object {
  const { shape, bytes, scanNs, parseBufferNs, parseStringNs } = figures;
  const us = (ns: number) => `${(ns / 1_000).toFixed(2)} us`;
  const times = (ns: number) => `${(ns / scanNs).toFixed(1)}x`;
  return {
    shape,
    bytes,
    scan: us(scanNs),
    "JSON.parse(buffer.toString())": us(parseBufferNs),
    "over scan": times(parseBufferNs),
    "JSON.parse(string)": us(parseStringNs),
    "over scan ": times(parseStringNs),
  };
}

const SHAPES: readonly Shape[] = ["conversation", "unicode", "tools"];
const figures = SHAPES.flatMap((shape) => SIZES.map((size) => measure(shape, size)));
if (options.json) console.log(JSON.stringify({ node: process.version, rounds: ROUNDS, figures }));
else console.table(figures.map(row));
