/**
 * The scenarios: native-bench/scenarios/NAME.yaml, one load each. What must hold: a file with an unknown key or a value out of
 * bounds is an error that names the file and the place.
 */
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { z } from "zod";

const DIRECTORY = fileURLToPath(new URL("../scenarios/", import.meta.url));
const CONNECTIONS_MAX = 20_000;
const BODY_BYTES_MIN = 300;
const BODY_BYTES_MAX = 16 * 1_048_576;

const connections = z.int().min(1).max(CONNECTIONS_MAX);
const share = z.number().gt(0).max(1);

const mockSchema = z.strictObject({
  latencyMs: z.number().min(0).default(0),
  jitterMs: z.number().min(0).default(0),
  /** Content events of a stream. */
  chunks: z.int().min(1).default(50),
  chunkDelayMs: z.number().min(0).default(0),
  chunkBytes: z.int().min(1).optional(),
  answerBytes: z.int().min(1).optional(),
});

/** What the load generator measures of every request: no name of one. */
const METRICS = new Set(["total", "ttft", "gap"]);

const requestSchema = z.strictObject({
  /** Those of a name have a row of latency for themselves. */
  name: z
    .string()
    .regex(/^[a-z][a-z0-9-]*$/)
    .refine((name) => !METRICS.has(name), "is what a metric is called")
    .optional(),
  weight: z.int().min(1).default(1),
  bodyBytes: z.int().min(BODY_BYTES_MIN).max(BODY_BYTES_MAX).default(BODY_BYTES_MIN),
  stream: z.boolean().default(false),
});

const modeSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("closed"), connections }),
  z.strictObject({
    kind: z.literal("open"),
    ratePerSecond: z.int().min(1).max(1_000_000),
    connectionsMax: connections,
  }),
]);

export const scenarioSchema = z.strictObject({
  title: z.string().min(1),
  /** Part of the set that runs without --full. */
  short: z.boolean().default(false),
  /** How contestants reach the provider. */
  upstream: z.enum(["http", "https"]).default("http"),
  mock: mockSchema.prefault({}),
  mode: modeSchema,
  requests: z.array(requestSchema).min(1).prefault([{}]),
  /** A connection is closed after so many; 0: kept. */
  requestsPerConnection: z.int().min(0).default(0),
  /** Streams cut by the client: their share, and after how many events. */
  abort: z.strictObject({ share, afterEvents: z.int().min(0) }).optional(),
  idleConnections: z.int().min(0).max(CONNECTIONS_MAX).default(0),
});

export type ScenarioFile = z.infer<typeof scenarioSchema>;
export type RequestKind = z.infer<typeof requestSchema>;
export type MockSetting = z.infer<typeof mockSchema>;

export interface Scenario extends ScenarioFile {
  readonly name: string;
}

export function parseScenario(name: string, text: string): Scenario {
  const parsed = scenarioSchema.safeParse(parse(text));
  if (!parsed.success) throw new Error(`scenario ${name}: ${z.prettifyError(parsed.error)}`);
  return { name, ...parsed.data };
}

/** All there are, by name. */
export function allScenarios(): Scenario[] {
  const files = readdirSync(DIRECTORY).filter((file) => file.endsWith(".yaml"));
  const scenarios = files.map((file) =>
    parseScenario(basename(file, ".yaml"), readFileSync(join(DIRECTORY, file), "utf8")),
  );
  return scenarios.toSorted((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
}

/** Those named, in that order; else the short set, or with `full` all. */
export function chosenScenarios(names: readonly string[], full: boolean): Scenario[] {
  const all = allScenarios();
  if (names.length === 0) return all.filter(({ short }) => full || short);
  return names.map((name) => {
    const found = all.find((scenario) => scenario.name === name);
    if (found !== undefined) return found;
    throw new Error(`no scenario ${name}; there are ${all.map((scenario) => scenario.name).join(", ")}`);
  });
}

export function hasStreams(scenario: Scenario): boolean {
  return scenario.requests.some(({ stream }) => stream);
}

/** What its longest request takes at the mock provider alone. */
export function requestMsOf({ mock, requests }: ScenarioFile): number {
  const isStreaming = requests.some(({ stream }) => stream);
  return mock.latencyMs + mock.jitterMs + (isStreaming ? mock.chunks * mock.chunkDelayMs : 0);
}
