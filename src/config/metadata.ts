/** What the file says about a key, for conditions to ask. Supervisor and command line. Pure. */
import { z } from "zod";
import { METADATA_MAX } from "../base/limits.ts";
import { readFact, readFactName } from "./condition.ts";
import { scalar } from "./shape.ts";

/** Facts that every key may have without being told. */
const OWN_FACTS = ["name", "team"];

export const METADATA = z
  .record(scalar(readFactName), scalar(readFact))
  .refine((facts) => Object.keys(facts).length <= METADATA_MAX, `at most ${METADATA_MAX} of these are taken`)
  .refine((facts) => !OWN_FACTS.some((name) => Object.hasOwn(facts, name)), "name and team stand at the key itself")
  .meta({ expects: "mapping" })
  .optional()
  .describe(
    `What conditions of routes can ask of it, such as { tier: gold }: at most ${METADATA_MAX} names, each with a value.`,
  );
