/**
 * The configuration: `FORM`, the strict schema of the YAML file (an unknown key is an error), and `Config`, what it
 * means once paths and credentials are resolved. Supervisor and command line; workers import the type only and get the
 * value over IPC, so it stays plain data. `FORM` takes text for every scalar and has no message that repeats a value.
 */
import { z } from "zod";
import {
  BODY_BYTES_DEFAULT,
  BODY_BYTES_IN_FLIGHT_DEFAULT,
  BODY_BYTES_IN_FLIGHT_MAX,
  BODY_BYTES_MAX,
  CONNECT_TIMEOUT_MS_DEFAULT,
  CONNECTIONS_PER_PROVIDER_DEFAULT,
  DRAIN_TIMEOUT_MS_DEFAULT,
  EXCHANGES_IN_FLIGHT_MAX,
  FIRST_BYTE_TIMEOUT_MS_DEFAULT,
  HDR_DISK_BYTES_DEFAULT,
  HDR_DISK_BYTES_MAX,
  HDR_DISK_BYTES_MIN,
  HDR_INTERVAL_MS_DEFAULT,
  HDR_INTERVAL_MS_MAX,
  HDR_INTERVAL_MS_MIN,
  IDLE_TIMEOUT_MS_DEFAULT,
  JSON_DEPTH_DEFAULT,
  JSON_DEPTH_MAX,
  MODEL_BYTES_MAX,
  QUEUE_PER_PROVIDER_DEFAULT,
  QUEUE_TIMEOUT_MS_DEFAULT,
  STALL_TIMEOUT_MS_DEFAULT,
  TIMEOUT_MS_MAX,
  TOTAL_TIMEOUT_MS_DEFAULT,
  UPSTREAM_KEEP_ALIVE_MS_DEFAULT,
  WORKERS_MAX,
} from "../base/limits.ts";
import {
  type Address,
  type Read,
  Refusal,
  readAddress,
  readBaseUrl,
  readBoolean,
  readCredentialName,
  readCredentialPath,
  readDuration,
  readHash,
  readHeaderName,
  readHeaderValue,
  readInstant,
  readInteger,
  readName,
  readPath,
  readPrice,
  readSize,
  readVariable,
} from "./scalar.ts";
import type { HistogramsConfig } from "./series.ts";
import { type Bounds, KEY_LABEL_BYTES, PROVIDER_LABEL_BYTES, type Price, type Timeouts } from "./snapshot.ts";

/** One provider with its credential resolved: never log or print a value of this type. */
export interface ProviderConfig {
  readonly type: "openai" | "demo";
  /** May contain "{model}". Null: a demo provider before the supervisor filled in its loopback URL. */
  readonly baseUrl: string | null;
  /** The header that carries the credential, and its whole value; null: the provider takes none. */
  readonly credential: { readonly header: string; readonly value: string } | null;
  /** Fixed headers as a flat list name, value, ...; lower-case names; without the credential. */
  readonly headers: readonly string[];
  /** Fixed query, encoded, without "?"; empty: none. */
  readonly query: string;
  /** PEM of additional certificate authorities. */
  readonly tlsCa: string | null;
  readonly usageOption: boolean;
}

export interface ModelConfig {
  readonly provider: string;
  /** Model name upstream; null: the name that the client used. */
  readonly model: string | null;
}

export interface KeyConfig {
  readonly name: string;
  /** SHA-256 of the key, lower-case hex. */
  readonly hash: string;
  readonly enabled: boolean;
  /** Wall-clock milliseconds; null: never. */
  readonly expiresAtMs: number | null;
  /** Aliases that the key may use; null: all. */
  readonly models: readonly string[] | null;
}

export type LogLevel = (typeof LOG_LEVELS)[number];

export interface Config {
  /** Wall-clock milliseconds: when the file was read. */
  readonly loadedAtMs: number;
  readonly listen: Address;
  readonly admin: Address;
  /** Null: one per vCPU. */
  readonly workers: number | null;
  /** Absolute. */
  readonly dataDir: string;
  readonly logLevel: LogLevel;
  /** Absolute; null: no access log. */
  readonly accessLogPath: string | null;
  readonly bounds: Bounds;
  readonly timeouts: Timeouts;
  readonly replayStale: boolean;
  readonly providers: Readonly<Record<string, ProviderConfig>>;
  /** By alias; "*" is the route of any other model. */
  readonly models: Readonly<Record<string, ModelConfig>>;
  /** Provider of /v1 requests that name no model; null: they are refused. */
  readonly passthrough: string | null;
  /** Numbers of the latency histograms, by alias (series.ts); filled in by the supervisor. Without one: SERIES_OTHER. */
  readonly series: ReadonlyMap<string, number>;
  readonly histograms: HistogramsConfig;
  /** By upstream model name or alias. */
  readonly prices: Readonly<Record<string, Price>>;
  readonly keys: readonly KeyConfig[];
}

const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal"] as const;

/**
 * A mapping with exactly these keys. The message of its unknown-key issue is the list of the known keys, out of which
 * finding.ts makes the suggestion.
 */
function mapping<S extends z.ZodRawShape>(shape: S) {
  return z.strictObject(shape, {
    error: (issue) => (issue.code === "unrecognized_keys" ? Object.keys(shape).join(" ") : undefined),
  });
}

function scalar<T>(read: Read<T>) {
  return z.string().transform((text, context): T => {
    const value = read(text);
    if (!(value instanceof Refusal)) return value;
    context.issues.push({ code: "custom", message: value.message, input: text });
    return z.NEVER;
  });
}

/** A mapping or list that may be absent, or have all of its entries commented out. */
function section<T extends z.ZodType>(schema: T, empty: [] | Record<string, never>) {
  return z.preprocess((value) => (value === "" ? empty : value), schema).prefault(empty);
}

const duration = (defaultMs: number, minMs = 1) => scalar(readDuration(minMs, TIMEOUT_MS_MAX)).default(defaultMs);
const boolean = (byDefault: boolean) => scalar(readBoolean).default(byDefault);
const providerName = scalar(readName(PROVIDER_LABEL_BYTES - 1));
const modelName = scalar(readName(MODEL_BYTES_MAX));

const LIMITS = mapping({
  body_bytes: scalar(readSize(1_024, BODY_BYTES_MAX)).default(BODY_BYTES_DEFAULT),
  body_bytes_in_flight: scalar(readSize(1_024, BODY_BYTES_IN_FLIGHT_MAX)).default(BODY_BYTES_IN_FLIGHT_DEFAULT),
  json_depth: scalar(readInteger(2, JSON_DEPTH_MAX)).default(JSON_DEPTH_DEFAULT),
  connections_per_provider: scalar(readInteger(1, EXCHANGES_IN_FLIGHT_MAX)).default(CONNECTIONS_PER_PROVIDER_DEFAULT),
  queue_per_provider: scalar(readInteger(0, EXCHANGES_IN_FLIGHT_MAX)).default(QUEUE_PER_PROVIDER_DEFAULT),
});

const TIMEOUTS = mapping({
  connect: duration(CONNECT_TIMEOUT_MS_DEFAULT),
  first_byte: duration(FIRST_BYTE_TIMEOUT_MS_DEFAULT),
  idle: duration(IDLE_TIMEOUT_MS_DEFAULT),
  total: duration(TOTAL_TIMEOUT_MS_DEFAULT),
  queue: duration(QUEUE_TIMEOUT_MS_DEFAULT),
  stall: duration(STALL_TIMEOUT_MS_DEFAULT),
  drain: duration(DRAIN_TIMEOUT_MS_DEFAULT),
  upstream_keep_alive: duration(UPSTREAM_KEEP_ALIVE_MS_DEFAULT),
});

const HISTOGRAMS = mapping({
  interval: scalar(readDuration(HDR_INTERVAL_MS_MIN, HDR_INTERVAL_MS_MAX)).default(HDR_INTERVAL_MS_DEFAULT),
  disk_bytes: scalar(readSize(HDR_DISK_BYTES_MIN, HDR_DISK_BYTES_MAX)).default(HDR_DISK_BYTES_DEFAULT),
});

const CREDENTIAL_EXPECTED =
  "expected one of { env: NAME }, { file: PATH } or { systemd: NAME }: where the credential is, never itself";

const CREDENTIAL = z
  .strictObject(
    {
      env: scalar(readVariable).optional(),
      file: scalar(readCredentialPath).optional(),
      systemd: scalar(readCredentialName).optional(),
    },
    { error: (issue) => (issue.code === "unrecognized_keys" ? "env file systemd" : CREDENTIAL_EXPECTED) },
  )
  .refine((sources) => Object.keys(sources).length === 1, CREDENTIAL_EXPECTED);

const OPENAI_PROVIDER = mapping({
  type: z.literal("openai"),
  base_url: scalar(readBaseUrl),
  credential: CREDENTIAL.optional(),
  auth: z.enum(["bearer", "api-key", "x-api-key"]).default("bearer"),
  headers: section(z.record(scalar(readHeaderName), scalar(readHeaderValue)), {}),
  query: section(z.record(z.string(), z.string()), {}),
  tls: section(mapping({ ca_file: scalar(readPath).optional() }), {}),
  usage_option: boolean(true),
});

const DEMO_PROVIDER = mapping({ type: z.literal("demo") });

/** `type` defaults to openai; a discriminated union has no default of its own. */
function withType(value: unknown): unknown {
  const untyped = typeof value === "object" && value !== null && !Array.isArray(value) && !("type" in value);
  return untyped ? { ...value, type: "openai" } : value;
}

const PROVIDER = z.preprocess(withType, z.discriminatedUnion("type", [OPENAI_PROVIDER, DEMO_PROVIDER]));

const MODEL = mapping({ provider: providerName, model: modelName.optional() });

const PRICE = mapping({
  input: scalar(readPrice),
  cached_input: scalar(readPrice).optional(),
  output: scalar(readPrice),
});

const KEY = mapping({
  name: scalar(readName(KEY_LABEL_BYTES - 1)),
  hash: scalar(readHash),
  enabled: boolean(true),
  expires: scalar(readInstant).optional(),
  models: z.array(modelName).min(1).optional(),
});

/** "auto" is null: one worker per vCPU. */
function readWorkers(text: string): number | null | Refusal {
  const value = text === "auto" ? null : readInteger(1, WORKERS_MAX)(text);
  return value instanceof Refusal ? new Refusal(`expected auto or a whole number from 1 to ${WORKERS_MAX}`) : value;
}

export const FORM = mapping({
  listen: scalar(readAddress).default({ host: "127.0.0.1", port: 8081 }),
  admin: section(mapping({ listen: scalar(readAddress).default({ host: "127.0.0.1", port: 8080 }) }), {}),
  workers: scalar(readWorkers).default(null),
  data_dir: scalar(readPath).default("data"),
  log: section(mapping({ level: z.enum(LOG_LEVELS).default("info") }), {}),
  access_log: mapping({ path: scalar(readPath) }).optional(),
  limits: section(LIMITS, {}),
  timeouts: section(TIMEOUTS, {}),
  replay_stale: boolean(true),
  histograms: section(HISTOGRAMS, {}),
  providers: z.record(providerName, PROVIDER),
  models: section(z.record(modelName, MODEL), {}),
  passthrough: providerName.optional(),
  prices: section(z.record(modelName, PRICE), {}),
  keys: section(z.array(KEY), []),
});

/** The validated file, still in its own words. */
export type Form = z.output<typeof FORM>;
export type ProviderForm = z.output<typeof PROVIDER>;
export type CredentialForm = z.output<typeof CREDENTIAL>;
