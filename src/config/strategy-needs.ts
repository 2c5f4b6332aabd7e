/** What strategies need besides the model's name. All processes; pure. */
import type { Choice, Strategy } from "./snapshot.ts";

/** What is in a body decides: whether it streams, or how large it is. */
export function decidesByBody(strategy: Strategy): boolean {
  return strategy === "latency" || strategy === "cost" || strategy === "headroom";
}

/** What it learns from answers; null: nothing. */
export function learnsOf(strategy: Strategy): Choice["learns"] {
  return strategy === "latency" || strategy === "headroom" ? strategy : null;
}
