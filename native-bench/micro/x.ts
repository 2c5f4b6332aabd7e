import { settle } from "../../src/pipeline/settle.ts";
import { serverTiming } from "../../src/pipeline/server-timing.ts";
import { recordLatencies } from "../../src/pipeline/latencies.ts";
import { encodeRecord, recordViews, checkOf } from "../../src/shm/record-codec.ts";
import { CountersWriter } from "../../src/shm/counters.ts";
import { HistogramWriter, BLOCK_BYTES } from "../../src/shm/histogram-map.ts";
import { nowMs } from "../../src/base/clock.ts";
import { nextRequestId } from "../../src/base/ids.ts";
import { sampleRecord } from "../../test/support/sample-record.ts";
import { route } from "../../src/pipeline/route.ts";
import { classify } from "../../src/pipeline/endpoint.ts";
import { readBody } from "../../src/pipeline/read-body.ts";
import { upstreamRequest } from "../../src/pipeline/forward.ts";
import { Exchange } from "../../src/pipeline/exchange.ts";
import { exchangeOf, SeenDown, snapshotOf } from "../../test/support/exchange.ts";
import { compare } from "./contest.ts";
import * as S from "../../test/support/sample-record.ts";
const body = Buffer.from(JSON.stringify({ model: "other", messages: [{ role: "user", content: "hello ".repeat(30) }] }));
const e = exchangeOf({ body, snapshot: snapshotOf() });
classify(e); readBody(e); route(e);
Object.assign(e, { startedMs: 1000.1, authenticatedMs: 1000.11, bodyMs: 1000.12, scannedMs: 1000.125, forwardedMs: 1000.13, headMs: 1060.2, firstChunkMs: 1060.2, status: 200, upstreamStatus: 200, responseBytes: 400 });
const counters = new CountersWriter(new Float64Array(512));
const histograms = new HistogramWriter(new ArrayBuffer(BLOCK_BYTES));
const views = recordViews(new ArrayBuffer(16384 * 512));
let captured: any; let n = 0;
const ring: any = { push(r: any) { captured = r; encodeRecord(views, (n++ & 16383) * 512, r, n); return true; } };
const nul: any = { push(r: any) { captured = r; return true; } };
settle(e, { ring, counters, histograms });
const down = new SeenDown(); const snap = snapshotOf();
const set = new Set();
compare("settle", "settle", {
  settle: () => { e.settled = false; settle(e, { ring, counters, histograms }); },
  "without ring": () => { e.settled = false; settle(e, { ring: nul, counters, histograms }); },
  encodeRecord: () => encodeRecord(views, (n++ & 16383) * 512, captured, n),
  checkOf: () => checkOf(views.u32, (n++ & 16383) * 512),
  latencies: () => recordLatencies(e, 1060.3, histograms),
  recordRequest: () => counters.recordRequest(captured),
  nowMs: () => nowMs(),
  requestId: () => nextRequestId(),
  serverTiming: () => serverTiming(e),
  exchange: () => new Exchange(snap, down, 1, false),
  readBody: () => readBody(e),
  "class+route": () => { classify(e); return route(e); },
  upstreamRequest: () => upstreamRequest(e, e.target!),
});
