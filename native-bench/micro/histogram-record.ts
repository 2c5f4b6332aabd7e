/**
 * What latency histograms cost a gateway worker: nanoseconds per recorded value (index and three stores), and for a
 * request with all of its steps, over one clock read. Values are spread as durations are (log-normal, sigma 0.5), over
 * several routes, so that the pages of counts in use are more than the nearest cache holds. `--smoke`: a short run.
 */
import { closeSync } from "node:fs";
import { nowMs } from "../../src/base/clock.ts";
import { hdrIndexOf } from "../../src/base/hdr-geometry.ts";
import { createHistograms, METRIC, openHistograms } from "../../src/shm/histogram-map.ts";
import { compare } from "./contest.ts";

const SERIES = 8;
const VALUES = 4_096;
const descriptor = createHistograms();
const writer = openHistograms(descriptor, 0);
closeSync(descriptor);

function logNormal(medianMs: number): number {
  const normal = Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
  return medianMs * Math.exp(0.5 * normal);
}

/** The medians of a request's own steps are microseconds, those of its provider tens of milliseconds. */
const steps = Float64Array.from({ length: VALUES }, () => logNormal(0.01));
const waits = Float64Array.from({ length: VALUES }, () => logNormal(60));
const routes = Uint8Array.from({ length: VALUES }, () => Math.floor(Math.random() * SERIES));
let turn = 0;

function next(): number {
  turn = (turn + 1) % VALUES;
  return turn;
}

compare(`histograms of ${SERIES} routes`, "clock read", {
  index: () => hdrIndexOf((waits[next()] ?? 0) * 1e6),
  "one value": () => writer.record(0, METRIC.gap, waits[next()] ?? 0),
  "one value, any route": () => {
    const i = next();
    writer.record(routes[i] ?? 0, METRIC.gap, waits[i] ?? 0);
  },
  "a request's eight values": () => {
    const i = next();
    const series = routes[i] ?? 0;
    const step = steps[i] ?? 0;
    const wait = waits[i] ?? 0;
    writer.record(series, METRIC.auth, step);
    writer.record(series, METRIC.recv, step * 0.5);
    writer.record(series, METRIC.scan, step * 0.2);
    writer.record(series, METRIC.route, step * 2);
    writer.record(series, METRIC.overhead, step * 3.2);
    writer.record(series, METRIC.firstByte, wait);
    writer.record(series, METRIC.ttft, wait + step);
    writer.record(series, METRIC.total, wait * 2);
  },
  "clock read": nowMs,
});
