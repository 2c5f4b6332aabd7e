/**
 * What a request leaves in the latency histograms of its route and target. Gateway worker, once per request and once per
 * gap of a stream. A step that was not reached leaves nothing; what happened is counted whatever the outcome was.
 *
 *   auth, recv, scan, route   the steps of Server-Timing (server-timing.ts)
 *   overhead                  auth, scan and route: our own time before a request went upstream. `recv` is the client's.
 *   upstream_first_byte       from the transport's taking over to the head of the answer: queue and connect included
 *   ttft                      from the request's arrival to the first bytes of a stream's body; of streams only
 *   gap                       between two reads that brought events of a stream, waiting for a slow client included
 *   total                     from the request's arrival until its last bytes are handed over
 */
import { SERIES_UNROUTED } from "../config/series.ts";
import { type HistogramWriter, METRIC } from "../shm/histogram-map.ts";
import type { Exchange } from "./exchange.ts";

export function recordLatencies(exchange: Exchange, endMs: number, histograms: HistogramWriter): void {
  const { startedMs, authenticatedMs, bodyMs, scannedMs, forwardedMs, headMs, firstChunkMs, waitedMs } = exchange;
  const series = seriesOf(exchange);
  if (authenticatedMs > 0) histograms.record(series, METRIC.auth, authenticatedMs - startedMs);
  if (bodyMs > 0) histograms.record(series, METRIC.recv, bodyMs - waitedMs - authenticatedMs);
  if (scannedMs > 0) histograms.record(series, METRIC.scan, scannedMs - bodyMs);
  if (forwardedMs > 0) {
    histograms.record(series, METRIC.route, forwardedMs - scannedMs);
    histograms.record(series, METRIC.overhead, authenticatedMs - startedMs + forwardedMs - bodyMs);
  }
  if (headMs > 0) histograms.record(series, METRIC.firstByte, headMs - forwardedMs);
  if (firstChunkMs > 0 && exchange.eventStream) histograms.record(series, METRIC.ttft, firstChunkMs - startedMs);
  histograms.record(series, METRIC.total, endMs - startedMs);
}

export function recordGap(exchange: Exchange, gapMs: number, histograms: HistogramWriter): void {
  histograms.record(seriesOf(exchange), METRIC.gap, gapMs);
}

function seriesOf({ target }: Exchange): number {
  return target === null ? SERIES_UNROUTED : target.series;
}
