/**
 * The configuration: `FORM`, the strict schema of the YAML file (an unknown key is an error), and `Config`, what it
 * means once paths and credentials are resolved. Supervisor and command line; workers import the type only and get the
 * value over IPC, so it stays plain data. `FORM` takes text for every scalar and has no message that repeats a value. What
 * a setting is for stands at the setting, `describe`, and becomes sluice.yaml(5); `expects` names the kind of its text.
 */
import { z } from "zod";
import type { LimitRule } from "../base/limit-terms.ts";
import {
  BODY_BYTES_DEFAULT,
  BODY_BYTES_IN_FLIGHT_DEFAULT,
  BODY_BYTES_IN_FLIGHT_MAX,
  BODY_BYTES_MAX,
  CERTIFICATES_MAX,
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
  LISTENERS_MAX,
  MODEL_BYTES_MAX,
  QUEUE_PER_PROVIDER_DEFAULT,
  QUEUE_TIMEOUT_MS_DEFAULT,
  SERVER_NAMES_MAX,
  STALL_TIMEOUT_MS_DEFAULT,
  TIMEOUT_MS_MAX,
  TOTAL_TIMEOUT_MS_DEFAULT,
  UPSTREAM_KEEP_ALIVE_MS_DEFAULT,
  WORKERS_MAX,
} from "../base/limits.ts";
import type { Override } from "../base/overrides.ts";
import { BREAKER } from "./breaker.ts";
import { BUDGETS } from "./budget.ts";
import { CREDENTIAL, CREDENTIALS } from "./credentials.ts";
import { HEALTH_CHECK, type HealthCheckConfig } from "./health-check.ts";
import type { Listener } from "./listener.ts";
import { LOAD_SHEDDING } from "./load-shedding.ts";
import { METADATA } from "./metadata.ts";
import { MODEL, type ModelConfig } from "./model.ts";
import { KEY_OVERRIDES } from "./override.ts";
import { PRICE } from "./price.ts";
import { RATE_LIMITS } from "./rate-limit.ts";
import { RETRIES } from "./retry.ts";
import {
  type Address,
  Refusal,
  readAddress,
  readBaseUrl,
  readBoolean,
  readCredentialPath,
  readDuration,
  readHash,
  readHeaderName,
  readHeaderValue,
  readHostName,
  readInstant,
  readInteger,
  readMode,
  readName,
  readPath,
  readPlace,
  readProxyUrl,
  readServerName,
  readSize,
  readTrustedPeer,
} from "./scalar.ts";
import type { HistogramsConfig } from "./series.ts";
import { mapping, scalar, section } from "./shape.ts";
import {
  type Bounds,
  type BreakerRules,
  KEY_LABEL_BYTES,
  PROVIDER_LABEL_BYTES,
  type Price,
  type ProviderTls,
  type Retries,
  type Timeouts,
  type TransportName,
  type WaitRules,
} from "./snapshot.ts";
import { USER_HEADER } from "./user-header.ts";
import { KEY_PRIORITY, WAIT_QUEUE } from "./wait-queue.ts";

export interface CredentialConfig {
  /** The header that carries it, and its whole value. */
  readonly header: string;
  readonly value: string;
  /** Where it came from, for the operator. */
  readonly source: string;
}

/** One provider with its credentials resolved: never log or print a value of this type. */
export interface ProviderConfig {
  readonly type: "openai" | "demo";
  /** May contain "{model}". Null: a demo provider before the supervisor filled in its loopback URL. */
  readonly baseUrl: string | null;
  /** Requests take turns with them; empty: the provider takes none. */
  readonly credentials: readonly CredentialConfig[];
  /** Fixed headers as a flat list name, value, ...; lower-case names; without the credential. */
  readonly headers: readonly string[];
  /** Fixed query, encoded, without "?"; empty: none. */
  readonly query: string;
  /** What `auto` came to. */
  readonly transport: TransportName;
  readonly tls: ProviderTls;
  readonly http2: boolean;
  readonly proxy: string | null;
  readonly proxyAuthorization: string | null;
  readonly usageOption: boolean;
  /** Absent or null: it is not checked. */
  readonly healthCheck?: HealthCheckConfig | null;
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
  /** Whom it belongs to, for limits; null: nobody. */
  readonly team: string | null;
  /** Without it, false. */
  readonly explain?: boolean;
  /** Among those that wait for a limit, lower ones first; without it, KEY_PRIORITY_DEFAULT. */
  readonly priority?: number;
  /** What else is said of it; without it, nothing. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Without it, none. */
  readonly overrides?: readonly Override[];
}

export type LogLevel = (typeof LOG_LEVELS)[number];

export interface Config {
  /** Wall-clock milliseconds: when the file was read. */
  readonly loadedAtMs: number;
  /** At least one. */
  readonly listen: readonly Listener[];
  readonly admin: Address;
  /** Null: one per vCPU. */
  readonly workers: number | null;
  /** Absolute. */
  readonly dataDir: string;
  readonly logLevel: LogLevel;
  /** Absolute; null: no access log. */
  readonly accessLogPath: string | null;
  readonly bounds: Bounds;
  /** Milliseconds that a turn of a worker's loop may take before requests are shed; 0, or absent: none are. */
  readonly shedDelayMs?: number;
  readonly timeouts: Timeouts;
  readonly replayStale: boolean;
  readonly providers: Readonly<Record<string, ProviderConfig>>;
  readonly retries: Retries;
  readonly breaker: BreakerRules;
  /** By alias; "*" is the route of any other model. */
  readonly models: Readonly<Record<string, ModelConfig>>;
  /** Provider of /v1 requests that name no model; null: they are refused. */
  readonly passthrough: string | null;
  /** Numbers of the latency histograms, by alias (series.ts); filled in by the supervisor. Without one: SERIES_OTHER. */
  readonly series: ReadonlyMap<string, number>;
  readonly histograms: HistogramsConfig;
  /** Slots of arms in shared memory, by their keys (arms.ts); filled in by the supervisor. */
  readonly arms: ReadonlyMap<string, number>;
  /** By upstream model name or alias. */
  readonly prices: Readonly<Record<string, Price>>;
  readonly keys: readonly KeyConfig[];
  readonly limits: readonly LimitRule[];
  /** Null or absent: what a limit refuses for now is answered at once. */
  readonly waitRules?: WaitRules | null;
  /** In lower case: where users are named, before `user` of the body; null or absent: nowhere else. */
  readonly userHeader?: string | null;
}

const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal"] as const;

const duration = (defaultMs: number, minMs = 1, maxMs = TIMEOUT_MS_MAX) =>
  scalar(readDuration(minMs, maxMs)).meta({ expects: "duration" }).default(defaultMs);
const size = (defaultBytes: number, minBytes: number, maxBytes: number) =>
  scalar(readSize(minBytes, maxBytes)).meta({ expects: "size" }).default(defaultBytes);
const integer = (byDefault: number, min: number, max: number) =>
  scalar(readInteger(min, max))
    .meta({ expects: `${min} to ${max}` })
    .default(byDefault);
const boolean = (byDefault: boolean) => scalar(readBoolean).meta({ expects: "true or false" }).default(byDefault);
const address = (port: number) =>
  scalar(readAddress).meta({ expects: "host:port" }).default({ host: "127.0.0.1", port });
const path = scalar(readPath).meta({ expects: "path" });
const providerName = scalar(readName(PROVIDER_LABEL_BYTES - 1)).meta({ expects: "name of a provider" });
const modelName = scalar(readName(MODEL_BYTES_MAX)).meta({ expects: "name of a model" });

const LIMITS = mapping({
  body_bytes: size(BODY_BYTES_DEFAULT, 1_024, BODY_BYTES_MAX).describe("One request body."),
  body_bytes_in_flight: size(BODY_BYTES_IN_FLIGHT_DEFAULT, 1_024, BODY_BYTES_IN_FLIGHT_MAX).describe(
    "All request bodies that a worker holds at a time.",
  ),
  json_depth: integer(JSON_DEPTH_DEFAULT, 2, JSON_DEPTH_MAX).describe("Nesting of a JSON body."),
  connections_per_provider: integer(CONNECTIONS_PER_PROVIDER_DEFAULT, 1, EXCHANGES_IN_FLIGHT_MAX).describe(
    "Connections of a worker to one provider.",
  ),
  queue_per_provider: integer(QUEUE_PER_PROVIDER_DEFAULT, 0, EXCHANGES_IN_FLIGHT_MAX).describe(
    "Requests that wait for a connection to one provider; further ones are refused.",
  ),
});

const TIMEOUTS = mapping({
  connect: duration(CONNECT_TIMEOUT_MS_DEFAULT).describe("For connecting to a provider, TLS included."),
  first_byte: duration(FIRST_BYTE_TIMEOUT_MS_DEFAULT).describe(
    "From the request to the beginning of its answer; reasoning models think for minutes.",
  ),
  idle: duration(IDLE_TIMEOUT_MS_DEFAULT).describe("Between two pieces of an answer."),
  total: duration(TOTAL_TIMEOUT_MS_DEFAULT).describe("For the whole answer."),
  queue: duration(QUEUE_TIMEOUT_MS_DEFAULT).describe("For a free connection to the provider."),
  stall: duration(STALL_TIMEOUT_MS_DEFAULT).describe("After which a client that does not read its answer is cut."),
  drain: duration(DRAIN_TIMEOUT_MS_DEFAULT).describe("That requests which run may take to finish at shutdown."),
  upstream_keep_alive: duration(UPSTREAM_KEEP_ALIVE_MS_DEFAULT).describe(
    "That an unused connection to a provider is kept; it should be below the provider's own. A provider that says how long it keeps one (Keep-Alive: timeout=5) shortens it, to a second less.",
  ),
});

const HISTOGRAMS = mapping({
  interval: duration(HDR_INTERVAL_MS_DEFAULT, HDR_INTERVAL_MS_MIN, HDR_INTERVAL_MS_MAX).describe(
    "How often what was counted is appended to data_dir/hdr/*.hlog.",
  ),
  disk_bytes: size(HDR_DISK_BYTES_DEFAULT, HDR_DISK_BYTES_MIN, HDR_DISK_BYTES_MAX).describe(
    "The oldest of these files go when all of them together would have more.",
  ),
});

const OPENAI_PROVIDER = mapping({
  type: z.literal("openai").describe("What it speaks; openai may be left out."),
  base_url: scalar(readBaseUrl)
    .meta({ expects: "URL" })
    .describe("Where its API begins. {model} in it stands for the model name there, as Azure's deployments need it."),
  credential: CREDENTIAL.optional().describe(
    "Where the provider's credential is, exactly one of these; never the credential itself. Without it, none is sent.",
  ),
  credentials: CREDENTIALS.optional().describe(
    "Where several credentials are that requests take turns with, instead of credential. One that the provider refuses (401), or that has reached a limit (429), is left alone for a while, and its request is sent again with the next one at once.",
  ),
  auth: z
    .enum(["bearer", "api-key", "x-api-key"])
    .default("bearer")
    .describe("The header that carries the credential: Authorization: Bearer, api-key or x-api-key."),
  headers: section(z.record(scalar(readHeaderName), scalar(readHeaderValue)), {})
    .meta({ expects: "mapping" })
    .describe("Headers sent with every request."),
  query: section(z.record(z.string(), z.string()), {})
    .meta({ expects: "mapping" })
    .describe("Query parameters sent with every request, such as api-version."),
  tls: section(
    mapping({
      ca_file: path.optional().describe("PEM certificates that are trusted in addition to the system's authorities."),
      cert_file: path
        .optional()
        .describe("PEM: the certificate that the gateway shows, and the intermediate ones behind it; with key_file."),
      key_file: scalar(readCredentialPath)
        .meta({ expects: "path" })
        .optional()
        .describe("PEM: its private key, without a passphrase. It begins with /, ./ or ../."),
      server_name: scalar(readHostName)
        .meta({ expects: "host name" })
        .optional()
        .describe(
          "The name that is asked for and that the certificate must be for, if it is not the host of base_url.",
        ),
    }),
    {},
  ).describe(
    "How the provider's certificate is checked, and which one the gateway shows. TLS 1.2 and 1.3 are spoken, with the ciphers of Node.js (tls.DEFAULT_CIPHERS).",
  ),
  transport: z
    .enum(["auto", "native", "undici"])
    .default("auto")
    .describe(
      "What carries requests: native speaks HTTP/1.1 and costs least, undici also HTTP/2 and through proxies. auto: native, unless http2 or proxy is set.",
    ),
  http2: boolean(false).describe("HTTP/2 where the provider takes it, over https: many requests on one connection."),
  proxy: scalar(readProxyUrl)
    .meta({ expects: "URL" })
    .optional()
    .describe(
      "An HTTP proxy on the way to the provider, such as http://proxy.example:3128, or http://user@proxy.example:3128 with proxy_password. Variables such as https_proxy are not looked at.",
    ),
  proxy_password: CREDENTIAL.optional().describe(
    "Where the password of the user in proxy is, exactly one of these; never the password itself. It is sent as Proxy-Authorization: Basic, so the way to the proxy should be https or trusted.",
  ),
  health_check: HEALTH_CHECK.optional().describe(
    "Ask the provider from time to time whether it is well. While it is not, models that have other targets pass it over. Without this, it is not asked.",
  ),
  usage_option: boolean(true).describe(
    "Ask streams for their usage (stream_options.include_usage); false for a server that refuses it.",
  ),
});

const DEMO_PROVIDER = mapping({
  type: z.literal("demo").describe("Built in: answers like OpenAI, streams included, without network or cost."),
});

/** `type` defaults to openai; a discriminated union has no default of its own. */
function withType(value: unknown): unknown {
  const untyped = typeof value === "object" && value !== null && !Array.isArray(value) && !("type" in value);
  return untyped ? { ...value, type: "openai" } : value;
}

const PROVIDER = z.preprocess(withType, z.discriminatedUnion("type", [OPENAI_PROVIDER, DEMO_PROVIDER]));

const KEY = mapping({
  name: scalar(readName(KEY_LABEL_BYTES - 1))
    .meta({ expects: "name" })
    .describe("What the key is called in usage, metrics and logs."),
  hash: scalar(readHash)
    .meta({ expects: "sha256:HEX" })
    .describe("SHA-256 of the key, which sluice key create prints or adds; never the key itself."),
  enabled: boolean(true).describe("false switches the key off."),
  expires: scalar(readInstant)
    .meta({ expects: "date or instant" })
    .optional()
    .describe("When it stops, such as 2027-01-01T00:00:00Z."),
  models: z
    .array(modelName)
    .min(1)
    .meta({ expects: "list of models" })
    .optional()
    .describe("The only models that it may use; without it, all."),
  team: scalar(readName(KEY_LABEL_BYTES - 1))
    .meta({ expects: "name" })
    .optional()
    .describe("Whom it belongs to: limits can count the keys of a team together."),
  explain: boolean(false).describe(
    "Requests with the header x-sluice-explain: 1 are told how they were decided, in a header of that name: route, target, tries, open breakers and limits, by their names here.",
  ),
  priority: KEY_PRIORITY,
  metadata: METADATA,
  overrides: KEY_OVERRIDES,
});

const KEYS = section(z.array(KEY), []).describe("What applications send as their API key.");

const CERTIFICATE = {
  cert_file: path.describe("PEM: the certificate, and the intermediate ones behind it."),
  key_file: scalar(readCredentialPath)
    .meta({ expects: "path" })
    .describe("PEM: its private key, without a passphrase. It begins with /, ./ or ../."),
};

const NAMED_CERTIFICATE = mapping({
  names: z
    .array(scalar(readServerName).meta({ expects: "host name" }))
    .min(1)
    .max(SERVER_NAMES_MAX)
    .meta({ expects: "list of host names" })
    .describe("Of this certificate, such as ai.example.com or *.example.com, where * is one label."),
  ...CERTIFICATE,
});

const CERTIFIED = mapping({
  ...CERTIFICATE,
  client_ca_file: path
    .optional()
    .describe("PEM: authorities. With it, only clients connect that have a certificate signed by one of these."),
  certificates: z
    .array(NAMED_CERTIFICATE)
    .min(1)
    .max(CERTIFICATES_MAX)
    .optional()
    .describe(
      "Further certificates, for clients that ask for one of these names (SNI). All others get the one above, also those that ask for no name.",
    ),
});

const LISTENER = mapping({
  address: scalar(readPlace)
    .meta({ expects: "host:port or unix:/path" })
    .describe("Where. 0.0.0.0:8081 serves other machines; [::]:8081 with IPv6."),
  mode: scalar(readMode)
    .meta({ expects: "permissions" })
    .optional()
    .describe("Who may use a unix socket; 0660 if it is not set."),
  group: scalar(readName(255)).meta({ expects: "name or number" }).optional().describe("The group of a unix socket."),
  tls: CERTIFIED.optional().describe("TLS 1.2 and 1.3. The files are read again at every reload."),
  proxy_protocol: mapping({
    trusted: z
      .array(scalar(readTrustedPeer))
      .min(1)
      .meta({ expects: "list of addresses" })
      .describe("Addresses and networks of the proxies, such as 10.0.0.0/8; unix for a unix socket's peers."),
  })
    .optional()
    .describe(
      "These proxies, and nobody else, connect here, and begin each connection with a PROXY header (version 1 or 2).",
    ),
});

/** One address, one mapping or a list of both: always a list of mappings. */
function listed(value: unknown): unknown {
  return (Array.isArray(value) ? value : [value]).map((item) => (typeof item === "string" ? { address: item } : item));
}

const LISTENERS = z.preprocess(listed, z.array(LISTENER).min(1).max(LISTENERS_MAX)).prefault("127.0.0.1:8081");

/** "auto" is null: one worker per vCPU. */
function readWorkers(text: string): number | null | Refusal {
  const value = text === "auto" ? null : readInteger(1, WORKERS_MAX)(text);
  return value instanceof Refusal ? new Refusal(`expected auto or a whole number from 1 to ${WORKERS_MAX}`) : value;
}

export const FORM = mapping({
  listen: LISTENERS.describe(
    "Where applications connect: one address, such as 127.0.0.1:8081, which is the default, or a list of addresses and of mappings with these settings.",
  ),
  admin: section(
    mapping({
      listen: address(8080).describe(
        "/health/live, /health/ready, /metrics (Prometheus), /histograms and /version. Not for applications.",
      ),
    }),
    {},
  ).describe("The admin port."),
  workers: scalar(readWorkers)
    .meta({ expects: `auto, or 1 to ${WORKERS_MAX}` })
    .default(null)
    .describe("Processes that carry traffic; auto: one for each CPU."),
  data_dir: path.default("data").describe("Usage records and state. It is made if it does not exist."),
  log: section(
    mapping({ level: z.enum(LOG_LEVELS).default("info").describe("The least severe messages that are logged.") }),
    {},
  ).describe("The service's log, on standard error. Neither prompts nor keys are ever in it."),
  access_log: mapping({ path: path.describe("The file. SIGUSR2 reopens it, after it was moved away.") })
    .optional()
    .describe(
      "One JSON line for each request, without its content. With it, records have the client's address; without, they do not.",
    ),
  limits: section(LIMITS, {}).describe(
    "Bounds, for each worker. What is over them is refused with a clear error, never cut or delayed.",
  ),
  load_shedding: section(LOAD_SHEDDING, {}).describe(
    "What a worker refuses when more comes than it can serve, so that what it takes is answered in time.",
  ),
  rate_limits: section(RATE_LIMITS, []).describe(
    "Limits over all workers, which hold over reloads, restarts and crashes. A request must be within all that apply to it; one that is refused (429) counts for none of them.",
  ),
  rate_limit_queue: WAIT_QUEUE,
  user_header: USER_HEADER,
  budgets: section(BUDGETS, []).describe(
    "Money and tokens per calendar period, over all workers; what is used of them survives reloads, restarts and crashes. A request that what is left does not cover is refused (402).",
  ),
  timeouts: section(TIMEOUTS, {}).describe("Times after which a request fails or a connection is closed."),
  replay_stale: boolean(true).describe(
    "A provider may close an idle connection in the very moment at which a request is sent on it. One that fails so within a second, without any of an answer, is sent once more on a fresh connection.",
  ),
  histograms: section(HISTOGRAMS, {}).describe("Latency histograms (HdrHistogram) by route and target."),
  providers: z
    .record(providerName, PROVIDER)
    .describe("Where requests go, by a name of your choice: APIs that speak the OpenAI dialect. At least one."),
  models: section(z.record(modelName, MODEL), {}).describe(
    'The names that applications use, and where each of them goes. "*" is any other name, passed on unchanged.',
  ),
  retries: section(RETRIES, {}).describe("What comes after a failed try."),
  breaker: section(BREAKER, {}).describe(
    "When a target that fails is left alone, if its model has others: all workers know it together.",
  ),
  passthrough: providerName
    .optional()
    .describe(
      "The provider of /v1 requests that name no model (files, batches). If there is only one provider, it is that one.",
    ),
  prices: section(z.record(modelName, PRICE), {}).describe(
    "For the cost in usage reports, by model name at the provider or here. A model without a price costs 0. At most 6 decimals.",
  ),
  keys: KEYS,
  keys_file: path
    .optional()
    .describe(
      "A YAML file with nothing but keys, which come after those above. sluice key create adds to it, so that the configuration stays as it was written.",
    ),
});

/** The file that `keys_file` names. */
export const KEYS_FORM = mapping({ keys: KEYS });

/** The validated file, still in its own words. */
export type Form = z.output<typeof FORM>;
export type ListenerForm = z.output<typeof LISTENER>;
export type ProviderForm = z.output<typeof PROVIDER>;
