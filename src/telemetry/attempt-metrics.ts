/** /metrics of hedges, and of attempts that did not bring an answer, but may be billed (pipeline/booking.ts). Supervisor main thread; read at the scrape. */
import { HEDGES, HEDGES_WON, KIND_0, KIND_COST_0 } from "../shm/layout.ts";
import type { Family, Sample } from "./metrics.ts";
import { KIND_REQUEST, KINDS } from "./record.ts";

const NANODOLLARS_PER_DOLLAR = 1e9;

/** `at`: an element of the sum of all workers' counters. */
export function attemptFamilies(at: (index: number) => number): Family[] {
  const samples = (value: (kind: number) => number) =>
    KINDS.flatMap((name, kind): Sample[] => (kind === KIND_REQUEST ? [] : [[{ kind: name }, value(kind)]]));
  return [
    {
      name: "sluice_hedges_total",
      help: "Second attempts beside slow ones.",
      samples: () => [[{}, at(HEDGES)]],
    },
    {
      name: "sluice_hedges_won_total",
      help: "Hedges that took the place of the first attempt.",
      samples: () => [[{}, at(HEDGES_WON)]],
    },
    {
      name: "sluice_extra_attempts_total",
      help: "Attempts that did not bring an answer and may be billed; all but shadow ones are in the tokens and the cost.",
      labelNames: ["kind"],
      samples: () => samples((kind) => at(KIND_0 + kind)),
    },
    {
      name: "sluice_extra_cost_dollars_total",
      help: "Cost of such attempts, US dollars.",
      labelNames: ["kind"],
      samples: () => samples((kind) => at(KIND_COST_0 + kind) / NANODOLLARS_PER_DOLLAR),
    },
  ];
}
