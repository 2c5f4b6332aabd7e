/**
 * The document of a run, result.json: its schema, which is what a later run reads it with. Times are microseconds unless a name says
 * otherwise. What must hold: a change that an older reader would misunderstand raises RESULT_VERSION.
 */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { loadSummarySchema } from "./load.ts";
import { scenarioSchema } from "./scenario.ts";

export const RESULT_VERSION = 2;
export const RESULT_FILE = "result.json";

const percentiles = { p50Us: z.number(), p90Us: z.number(), p99Us: z.number(), p999Us: z.number(), maxUs: z.number() };
const latency = z.strictObject({ count: z.number(), ...percentiles });

const turnSchema = z.strictObject({
  contestant: z.string(),
  scenario: z.string(),
  round: z.number(),
  /** Why it does not count; null: it does. */
  voided: z.string().nullable(),
  load: loadSummarySchema,
  /** By metric: total; ttft, first byte; for streams gap; total of requests that have a name. */
  latency: z.record(z.string(), latency),
  cpuUsPerRequest: z.number().nullable(),
  /** The part of the process that was started: nginx's master, Sluice's supervisor with its pool. */
  parentCpuUsPerRequest: z.number().nullable(),
  cpuUsPerEvent: z.number().nullable(),
  generatorCpuUsPerRequest: z.number().nullable(),
  /** At its end, with all clients connected; proportional set sizes. */
  pssBytes: z.number(),
});

const syscallsSchema = z.strictObject({
  perRequest: z.number().nullable(),
  /** Where all requests are streams. */
  perEvent: z.number().nullable(),
  /** What counted them, or why nothing could. */
  how: z.string(),
});

/** From a short load of its own, because looking disturbs. */
const lookSchema = z.strictObject({ contestant: z.string(), syscalls: syscallsSchema });

const spreadSchema = z.strictObject({ ...percentiles });

const figureSchema = z.strictObject({
  contestant: z.string(),
  rounds: z.number(),
  requestsPerSecond: z.number(),
  latency: z.record(z.string(), spreadSchema),
  /** Over direct, in the same round: medians of the differences. Without direct: absent. */
  addedLatency: z.record(z.string(), spreadSchema),
  cpuUsPerRequest: z.number(),
  parentCpuUsPerRequest: z.number(),
  cpuUsPerEvent: z.number().nullable(),
  generatorCpuUsPerRequest: z.number(),
  /** Over nginx, in the same round: medians of the ratios. Null without nginx. */
  cpuOverNginx: z.number().nullable(),
  cpuPerEventOverNginx: z.number().nullable(),
  throughputOverNginx: z.number().nullable(),
  /** Over direct, in the same round. */
  throughputOverDirect: z.number().nullable(),
  pssBytesAtRest: z.number(),
  pssBytesUnderLoad: z.number(),
  syscalls: syscallsSchema,
  requests: z.number(),
  aborted: z.number(),
  /** By reason, over all rounds, those that are 0 left out. */
  errors: z.record(z.string(), z.number()),
});

const scenarioResultSchema = z.strictObject({
  name: z.string(),
  definition: scenarioSchema,
  turns: z.array(turnSchema),
  looks: z.array(lookSchema),
  /** By contestant: why it was not measured. */
  failed: z.record(z.string(), z.string()),
  /** Whether the generator was cheap enough: half of nginx's CPU per request at most; null: it cannot be checked. */
  generatorOverNginx: z.number().nullable(),
  figures: z.array(figureSchema),
  /** Figures that are not to be quoted, and why. */
  refused: z.strictObject({ reason: z.string(), figures: z.array(figureSchema) }).nullable(),
});

export const resultSchema = z.strictObject({
  version: z.literal(RESULT_VERSION),
  startedAt: z.string(),
  finishedAt: z.string(),
  commit: z.string(),
  machine: z.strictObject({
    cpu: z.string(),
    cores: z.number(),
    memoryBytes: z.number(),
    kernel: z.string(),
    node: z.string(),
    load: z.number(),
  }),
  versions: z.record(z.string(), z.string()),
  parameters: z.strictObject({
    rounds: z.number(),
    seconds: z.number(),
    warmUpSeconds: z.number(),
    workers: z.number(),
    burdenUs: z.number(),
    isProfiled: z.boolean(),
  }),
  pinning: z.strictObject({
    load: z.string().nullable(),
    mock: z.string().nullable(),
    contestant: z.string().nullable(),
    reason: z.string(),
  }),
  calibration: z.strictObject({ samplesMs: z.array(z.number()), spread: z.number(), isNoisy: z.boolean() }),
  /** Contestants that were wanted and could not be had, each with the reason. */
  missing: z.record(z.string(), z.string()),
  scenarios: z.array(scenarioResultSchema),
});

export type Turn = z.infer<typeof turnSchema>;
export type Look = z.infer<typeof lookSchema>;
export type Syscalls = z.infer<typeof syscallsSchema>;
export type Figure = z.infer<typeof figureSchema>;
export type ScenarioResult = z.infer<typeof scenarioResultSchema>;
export type Result = z.infer<typeof resultSchema>;

/** From a result folder or its result.json; throws with what is wrong. */
export function readResult(path: string): Result {
  const file = statSync(path).isDirectory() ? join(path, RESULT_FILE) : path;
  const parsed = resultSchema.safeParse(JSON.parse(readFileSync(file, "utf8")));
  if (!parsed.success) throw new Error(`${file} is no result of this benchmark: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}
