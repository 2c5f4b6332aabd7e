/** /metrics of requests that wait for a rate limit (pipeline/wait-queue.ts). Supervisor main thread; read at the scrape. */
import { WAIT_MS_MAX } from "../base/limits.ts";
import { WAIT_DROPS } from "../base/wait-drops.ts";
import { bucketOf } from "../shm/counters.ts";
import { WAIT_DROPPED_0, WAITED_MS, WAITS } from "../shm/layout.ts";
import type { Family, Sample } from "./metrics.ts";
import { type HistogramSource, SharedHistogram } from "./shared-histogram.ts";

const MS_PER_S = 1_000;
const US_PER_MS = 1_000;
/** From a millisecond to a minute: as long as one may wait (WAIT_MS_MAX). */
const SHOWN = { first: bucketOf(US_PER_MS), last: bucketOf(WAIT_MS_MAX * US_PER_MS) };

/** `at`: an element of the sum of all workers' counters. */
export function waitFamilies(at: (index: number) => number): Family[] {
  const one = (value: () => number) => () => [[{}, value()] satisfies Sample];
  return [
    {
      name: "sluice_limit_queue_admitted_total",
      help: "Requests that waited for a rate limit and were admitted.",
      samples: one(() => at(WAITS)),
    },
    {
      name: "sluice_limit_queue_wait_seconds_total",
      help: "For how long these waited, together.",
      samples: one(() => at(WAITED_MS) / MS_PER_S),
    },
    {
      name: "sluice_limit_queue_dropped_total",
      help: "Requests that could have waited for a rate limit and were not admitted, by reason.",
      labelNames: ["reason"],
      samples: () => WAIT_DROPS.map((reason, i): Sample => [{ reason }, at(WAIT_DROPPED_0 + i)]),
    },
  ];
}

export function waitHistogram(source: HistogramSource): SharedHistogram {
  const help =
    "For how long requests waited for a rate limit, whatever came of them; those that were refused at once did not.";
  return new SharedHistogram("sluice_limit_queue_wait_seconds", help, source, SHOWN);
}
