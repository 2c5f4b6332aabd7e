/** Metrics of shadow traffic, out of the counters of all workers. Supervisor main thread; read at the scrape. */
import { SHADOW_DROPS } from "../base/shadow-drops.ts";
import { SHADOW_BYTES_IN_FLIGHT, SHADOW_DROP_0, SHADOW_FAILURES, SHADOWS, SHADOWS_IN_FLIGHT } from "../shm/layout.ts";
import type { Family } from "./metrics.ts";

/** `at`: an element of the sum of all workers' counters. */
export function shadowCounters(at: (index: number) => number): Family[] {
  return [
    {
      name: "sluice_shadow_requests_total",
      help: "Copies of requests that were sent to a shadow target.",
      samples: () => [[{}, at(SHADOWS)]],
    },
    {
      name: "sluice_shadow_failures_total",
      help: "Those of them that brought no answer, a broken one, or an error.",
      samples: () => [[{}, at(SHADOW_FAILURES)]],
    },
    {
      name: "sluice_shadow_dropped_total",
      help: "Copies that were not sent, by reason.",
      labelNames: ["reason"],
      samples: () => SHADOW_DROPS.map((reason, i) => [{ reason }, at(SHADOW_DROP_0 + i)]),
    },
  ];
}

export function shadowGauges(at: (index: number) => number): Family[] {
  return [
    {
      name: "sluice_shadow_in_flight",
      help: "Copies of requests that wait for these, or run.",
      samples: () => [[{}, at(SHADOWS_IN_FLIGHT)]],
    },
    {
      name: "sluice_shadow_bytes_in_flight",
      help: "Bodies of copies held in memory.",
      samples: () => [[{}, at(SHADOW_BYTES_IN_FLIGHT)]],
    },
  ];
}
