/** What the file says of load shedding. Supervisor and command line. Pure. */
import { z } from "zod";
import { SHED_DELAY_MS_DEFAULT, SHED_DELAY_MS_MAX, SHED_DELAY_MS_MIN } from "../base/limits.ts";
import { readBoolean, readDuration } from "./scalar.ts";
import { mapping, scalar } from "./shape.ts";

/** `load_shedding: off`. */
function written(value: unknown): unknown {
  return value === "off" ? { enabled: "false" } : value;
}

export const LOAD_SHEDDING = z.preprocess(
  written,
  mapping({
    enabled: scalar(readBoolean)
      .meta({ expects: "true or false" })
      .default(true)
      .describe("false: nothing is shed. 'load_shedding: off' is short for it."),
    delay: scalar(readDuration(SHED_DELAY_MS_MIN, SHED_DELAY_MS_MAX))
      .meta({ expects: "duration" })
      .default(SHED_DELAY_MS_DEFAULT)
      .describe(
        "How long a turn of a worker's event loop may take. When all turns of half a second took longer, requests are refused (503) that come up when a turn has lasted a fifth of it.",
      ),
  }),
);

/** Milliseconds; 0: nothing is shed. */
export function shedDelayOf({ enabled, delay }: z.output<typeof LOAD_SHEDDING>): number {
  return enabled ? delay : 0;
}
