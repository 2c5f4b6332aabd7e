/**
 * The conditions of a route, `when`: their schema, and what they mean. All of a `when` must hold. A value is compared as it is
 * written; one that ends in "*" is the beginning of what is meant. Supervisor and command line. Pure.
 */
import { z } from "zod";
import { bitsOf, FEATURES, type Feature } from "../base/features.ts";
import {
  CONDITION_NAMES_MAX,
  CONDITION_VALUE_BYTES_MAX,
  CONDITION_VALUES_MAX,
  CONTEXT_TOKENS_MAX,
} from "../base/limits.ts";
import { type Read, Refusal, readAmount, readBoolean, readHeaderName } from "./scalar.ts";
import { mapping, scalar } from "./shape.ts";

/** What answers may have to be. */
const FORMATS = ["json_object", "json_schema"] as const satisfies readonly Feature[];

/** Printable, so that what is written can be what is sent. */
function readText(bytesMax: number): Read<string> {
  return (text) => {
    if (!/^[^\p{Cc}]+$/u.test(text) || !text.isWellFormed()) return new Refusal("expected printable text, not empty");
    return Buffer.byteLength(text) <= bytesMax ? text : new Refusal(`this has at most ${bytesMax} bytes`);
  };
}

const NAME_BYTES_MAX = 63;
/** Of what a key is said to be, and of a field of the body. */
export const readFactName = readText(NAME_BYTES_MAX);
export const readFact = readText(CONDITION_VALUE_BYTES_MAX);

function listed(value: unknown): unknown {
  return typeof value === "string" ? [value] : value;
}

/** Undefined: what is wrong is something else. */
function notListed({ code }: { readonly code: string }): string | undefined {
  return code === "invalid_type" ? "expected a value, or a list of values" : undefined;
}

const VALUES = z
  .preprocess(listed, z.array(scalar(readFact), { error: notListed }).min(1).max(CONDITION_VALUES_MAX))
  .meta({ expects: "value, or list of values" });
const few = (names: Readonly<Record<string, unknown>>) => Object.keys(names).length <= CONDITION_NAMES_MAX;
const tests = (read: Read<string>) =>
  z
    .record(scalar(read), VALUES)
    .refine(few, `at most ${CONDITION_NAMES_MAX} of these are taken`)
    .meta({ expects: "mapping" })
    .optional();
const truth = scalar(readBoolean).meta({ expects: "true or false" }).optional();
const tokens = scalar(readAmount(1, CONTEXT_TOKENS_MAX))
  .meta({ expects: `1 to ${CONTEXT_TOKENS_MAX}` })
  .optional();

export const WHEN = mapping({
  key: tests(readFactName).describe(
    "What the key is: its metadata by their names, and its name and team. A value, or a list of which one is enough; prod-* is all that begins with prod-, * is anything.",
  ),
  header: tests(readHeaderName).describe(
    "Headers of the request, compared like key; x-flag: '*' asks only that it is there. Those that begin with x-sluice- do not go on to providers.",
  ),
  body: tests(readFactName).describe(
    "Texts, numbers, true or false that stand in the outermost object of the request's body, compared like key.",
  ),
  stream: truth.describe("Whether the answer is a stream."),
  tools: truth.describe("Whether the request brings tools (or functions)."),
  images: truth.describe("Whether there are images in its messages or input."),
  response_format: z
    .preprocess(listed, z.array(z.enum(FORMATS)).min(1))
    .meta({ expects: `list of ${FORMATS.join(", ")}` })
    .optional()
    .describe("What the answer has to be: JSON, or JSON by a schema. One of these is enough."),
  prompt_tokens_min: tokens.describe(
    "The smallest prompt, by the estimate that limits go by: one token for four bytes of its text.",
  ),
  prompt_tokens_max: tokens.describe("The largest one."),
});

export type WhenForm = z.output<typeof WHEN>;

/** Names with the values of which one is enough. */
export type TestsConfig = readonly (readonly [name: string, values: readonly string[]])[];

/** What a `when` asks for; plain data. */
export interface ConditionConfig {
  readonly keys: TestsConfig;
  /** Names in lower case. */
  readonly headers: TestsConfig;
  readonly body: TestsConfig;
  readonly stream: boolean | null;
  /** Bits of FEATURES: all of them, none of them, and at least one if there are any. */
  readonly has: number;
  readonly lacks: number;
  readonly someOf: number;
  readonly promptTokensMin: number;
  readonly promptTokensMax: number;
}

export function conditionOf(when: WhenForm): ConditionConfig {
  const flags = FEATURES.filter((name) => name === "tools" || name === "images");
  return {
    keys: Object.entries(when.key ?? {}),
    headers: Object.entries(when.header ?? {}).map(([name, values]) => [name.toLowerCase(), values]),
    body: Object.entries(when.body ?? {}),
    stream: when.stream ?? null,
    has: bitsOf(flags.filter((name) => when[name] === true)),
    lacks: bitsOf(flags.filter((name) => when[name] === false)),
    someOf: bitsOf(when.response_format ?? []),
    promptTokensMin: when.prompt_tokens_min ?? 0,
    promptTokensMax: when.prompt_tokens_max ?? Number.POSITIVE_INFINITY,
  };
}
