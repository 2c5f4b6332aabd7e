/** What the file says of a model's price. Supervisor and command line. Pure. */
import { readPrice } from "./scalar.ts";
import { mapping, scalar } from "./shape.ts";

const price = scalar(readPrice).meta({ expects: "USD per million tokens" });

export const PRICE = mapping({
  input: price.describe("Of input tokens."),
  cached_input: price.optional().describe("Of input that the provider took from its cache; without it, as input."),
  output: price.describe("Of output tokens."),
});
