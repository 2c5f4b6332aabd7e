/** What the file says of shadow traffic. Supervisor and command line. Pure. */
import {
  MODEL_BYTES_MAX,
  SHADOW_PERCENT_DEFAULT,
  SHADOWS_IN_FLIGHT_DEFAULT,
  SHADOWS_IN_FLIGHT_MAX,
} from "../base/limits.ts";
import { readInteger, readName } from "./scalar.ts";
import { mapping, scalar } from "./shape.ts";
import { PROVIDER_LABEL_BYTES } from "./snapshot.ts";

const integer = (byDefault: number, min: number, max: number) =>
  scalar(readInteger(min, max))
    .meta({ expects: `${min} to ${max}` })
    .default(byDefault);

export const SHADOW = mapping({
  provider: scalar(readName(PROVIDER_LABEL_BYTES - 1))
    .meta({ expects: "name of a provider" })
    .describe("Where copies go."),
  model: scalar(readName(MODEL_BYTES_MAX))
    .meta({ expects: "name of a model" })
    .optional()
    .describe("Its name there, if it is another one."),
  percent: integer(SHADOW_PERCENT_DEFAULT, 0, 100).describe("Of the requests that go upstream."),
  in_flight: integer(SHADOWS_IN_FLIGHT_DEFAULT, 1, SHADOWS_IN_FLIGHT_MAX).describe(
    "Copies of one worker at a time, of all models; with more, a request has none.",
  ),
});
