/** /metrics of requests that wait for a rate limit (pipeline/wait-queue.ts). Supervisor main thread; read at the scrape. */
import { WAIT_DROPS } from "../base/wait-drops.ts";
import { WAIT_DROPPED_0, WAITED_MS, WAITS } from "../shm/layout.ts";
import type { Family, Sample } from "./metrics.ts";

const MS_PER_S = 1_000;

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
