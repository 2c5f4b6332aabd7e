/**
 * Every bound on what clients, providers and the configuration can make Sluice hold or do, with its unit and the reason for
 * its size. Values an operator may change are defaults here and appear in the configuration schema; the rest are fixed by a
 * format or a package. How long the supervisor waits for its own parts stands beside those waits.
 */

/** Request target (path and query), bytes. nginx's default for one large header buffer. */
export const TARGET_BYTES_MAX = 8_192;
/** Request header block, bytes: name, value and four separator bytes each. uWebSockets.js stops at twice this. */
export const HEADER_BYTES_MAX = 16_384;
/** What UWS_HTTP_MAX_HEADERS_SIZE is set to in a worker: above ours, so that ours answers in the OpenAI shape. */
export const UWS_HEADER_BYTES_MAX = 32_768;
/** A client-chosen x-request-id that is longer is replaced, bytes. Fits the record. */
export const REQUEST_ID_BYTES_MAX = 63;
/** A gateway key that is longer cannot be one of ours, bytes. */
export const KEY_BYTES_MAX = 256;
/** Model names, bytes: longest seen in the wild is about 90 (fine-tuned ids). */
export const MODEL_BYTES_MAX = 256;
/** Of a request's `user`, what limits tell users apart by, bytes: identifiers of users are hashes or UUIDs. */
export const USER_BYTES_MAX = 512;
/** Default of limits.body_bytes. */
export const BODY_BYTES_DEFAULT = 33_554_432;
/** Default of limits.body_bytes_in_flight: sum of request bodies one worker holds at a time. */
export const BODY_BYTES_IN_FLIGHT_DEFAULT = 268_435_456;
/** First buffer of a chunked request body, bytes; it doubles from here to the limit. */
export const CHUNKED_BODY_BYTES_INITIAL = 16_384;
/** Room kept behind a body so that a splice moves bytes instead of copying the body. */
export const SPLICE_ROOM_BYTES = 512;
/** Default of limits.json_depth. JSON.parse takes any depth and 3.4 s for 10 MB of "["; real requests stay under 40. */
export const JSON_DEPTH_DEFAULT = 128;
/** The scanner keeps one bit per open container. */
export const JSON_DEPTH_MAX = 1_024;
/** A body without that room, bytes: it and a copy of it with room come out of the pool of Node's Buffer, which takes less than 4 KB. */
export const SMALL_BODY_BYTES_MAX = 3_072;
/** Requests one worker has in flight; the next one is answered 503. */
export const EXCHANGES_IN_FLIGHT_MAX = 16_384;
/** Default of limits.connections_per_provider: upstream connections per worker and provider origin. */
export const CONNECTIONS_PER_PROVIDER_DEFAULT = 4_096;
/** Default of limits.queue_per_provider: requests waiting for an upstream connection, per worker and provider origin. */
export const QUEUE_PER_PROVIDER_DEFAULT = 1_024;
/** Bytes in one uWebSockets.js cork callback. Its buffer is 16 KB and more is lost (measured). */
export const CORK_BYTES_MAX = 15_360;
/** What a head says of where limits stand, bytes: more than it ever is (native/limits-headers.h). */
export const LIMIT_LINES_BYTES_MAX = 512;
/** A chunk of an answer with its head is made in one buffer of this size, bytes: what a read brings, and a head. Larger ones get their own. */
export const FRAME_BYTES_MAX = 131_072;
/** The beginning of a server-sent event that is held until its end is there, bytes. A larger event goes out in pieces. */
export const HELD_EVENT_BYTES_MAX = 65_536;
/** Requests at a time on one HTTP/2 connection; what servers usually allow. The server may allow fewer. */
export const UPSTREAM_STREAMS_MAX = 100;
/** Header block of a provider's answer, bytes. */
export const UPSTREAM_HEADER_BYTES_MAX = 65_536;
/** Native connections to providers of one worker, of all providers: their numbers have 16 bits for the slot. */
export const UPSTREAM_CONNECTIONS_MAX = 65_535;
/** A provider's error answer that is held until it is known not to quote a credential, bytes. */
export const UPSTREAM_ERROR_BYTES_MAX = 65_536;
/** An unread request body up to this size is dropped in passing, and the connection goes on, bytes. */
export const UNREAD_BODY_BYTES_MAX = 65_536;
/** What is read and dropped after an early answer, so that the client sees it before the connection ends, bytes. */
export const LINGER_BYTES_MAX = 67_108_864;
/** Native response-scanner slots per worker: one per request in flight. */
export const SCANNER_SLOTS_MAX = EXCHANGES_IN_FLIGHT_MAX;
/** From here on a body of known length is scanned and sent as it arrives; what is shorter arrives in a read or two anyway. */
export const UPLOAD_BYTES_MIN = 131_072;
/** Request bodies that are scanned as they arrive, per worker: 2 KB each; the next one is scanned when it is whole. */
export const PART_SCANS_MAX = 1_024;
/** Records in one worker's ring: 13,056 of 640 bytes are 8 MB, over a second at 10,000 requests per second. */
export const RING_RECORDS = 13_056;
/** Rings (hence workers of all generations alive at a time) in one data directory. */
export const RINGS_MAX = 256;
/** Earlier generations whose workers finish what runs; with more of them a restart is refused. Each may take 100 MB a worker. */
export const FINISHING_GENERATIONS_MAX = 8;
/** Addresses that one gateway listens on. */
export const LISTENERS_MAX = 16;
/** Certificates of one listener besides its first one, and names of each: public authorities put at most 100 into one. */
export const CERTIFICATES_MAX = 128;
export const SERVER_NAMES_MAX = 100;
/** Connections that wait for being accepted, per listener; uWebSockets.js has the same for its own. */
export const BACKLOG_MAX = 512;
/** Connections of one listener and worker without a first byte yet, behind a PROXY header or in a TLS handshake: 50 KB each. */
export const GREETINGS_MAX = 4_096;
/** PROXY header of a connection, bytes; with certificates in its extensions it has 2 KB. */
export const PROXY_HEADER_BYTES_MAX = 4_096;
/** Limits of one configuration, one for each quantity of a rule: a request's are bits of one word. */
export const LIMIT_RULES_MAX = 64;
/** Failed tries of a request that its record tells of, the last ones. */
export const DECISION_TRIES_MAX = 8;
/** Priorities of keys, from 0 on; and that of keys that have none. */
export const KEY_PRIORITIES = 10;
export const KEY_PRIORITY_DEFAULT = 5;
/** Of requests that wait for a rate limit: how long at most (rate_limit_queue.max_wait), how many and how many bytes of bodies in each worker. */
export const WAIT_MS_MAX = 60_000;
export const WAIT_REQUESTS_DEFAULT = 1_000;
export const WAIT_REQUESTS_MAX = 10_000;
export const WAIT_BYTES_DEFAULT = 67_108_864;
export const WAIT_BYTES_MAX = 4_294_967_296;
/** A limit that requests wait for is asked again so soon at the earliest, and so late at the latest: other workers give back, too. */
export const WAIT_TURN_MS_MIN = 5;
export const WAIT_TURN_MS_MAX = 500;
/** How many of them one turn of the loop lets go on. */
export const WAIT_ADMISSIONS_PER_TURN = 64;
/** Limits in the header x-sluice-explain. */
export const EXPLAINED_LIMITS_MAX = 8;
/** Of a request that `sluice explain` asks about, in bytes; with what is around it, as JSON, in EXPLAIN_QUESTION_BYTES_MAX. */
export const EXPLAIN_BODY_BYTES_MAX = 1_048_576;
export const EXPLAIN_QUESTION_BYTES_MAX = 4 * EXPLAIN_BODY_BYTES_MAX;
/** What one limit lets through: a day's worth of nanoseconds times it, with 32 bits of fraction, has 128 bits. */
export const LIMIT_AMOUNT_MAX = 1_000_000_000_000;
/** Thresholds of one budget: they are bits of its count. */
export const BUDGET_ALERTS_MAX = 4;
/** Of a budget that only observes, more than all of it may be worth telling. */
export const BUDGET_PERCENT_MAX = 1_000;
/** Keys, teams and so on whose use of one budget is a metric; the use of others is counted all the same. */
export const BUDGET_SERIES_MAX = 512;
/** Output tokens that a stream beyond its reservation reserves at a time, so that limits are not asked for each. */
export const OUTPUT_TOKENS_EXTENDED = 64;
/** Bytes of text that a token has at most, over an answer, in any script: what says `max_tokens` is not cut for having long words. */
export const TOKEN_BYTES_MAX = 16;
/** Answers in one stream (`n`) that get a finish_reason when it is cut; OpenAI takes no more. */
export const ANSWERS_CUT_MAX = 128;
/** Output tokens that are reserved for a model's first answers, where the request does not say how many it takes. */
export const OUTPUT_TOKENS_ASSUMED = 512;
/** Gateway workers. */
export const WORKERS_MAX = 128;
/** Records one pool task takes from one ring in one transaction. */
export const DRAIN_BATCH_RECORDS_MAX = 4_096;
/** piscina's queue: a drain or log batch that does not fit waits in the ring. */
export const POOL_QUEUE_MAX = 64;
/** Packed batch handed from the drain task to the access log, bytes. */
export const BATCH_BYTES_MAX = 16_777_216;
/** Label sets (model, provider) with counters of their own on /metrics; further ones are counted under "other". */
export const METRIC_SERIES_MAX = 512;
/**
 * Routes and targets with latency histograms of their own, over all configurations since the start, and two for the rest.
 * A histogram that is in use takes 4 KB per power of two that its values spread over, per worker; typically 20 KB.
 */
export const HDR_SERIES_MAX = 64;
/** histograms.interval: a shorter one writes more than it tells, a longer one risks much when the supervisor is killed. */
export const HDR_INTERVAL_MS_MIN = 100;
export const HDR_INTERVAL_MS_DEFAULT = 10_000;
export const HDR_INTERVAL_MS_MAX = 3_600_000;
/** histograms.disk_bytes: at least one interval of all histograms must fit. */
export const HDR_DISK_BYTES_MIN = 1_048_576;
export const HDR_DISK_BYTES_DEFAULT = 268_435_456;
export const HDR_DISK_BYTES_MAX = 1_099_511_627_776;
/** Configuration file, bytes. */
export const CONFIG_BYTES_MAX = 4_194_304;
/** Nesting of the file: deeper brackets make V8 end the process instead of throwing (measured). */
export const CONFIG_NESTING_MAX = 64;
/** YAML aliases in it: each may stand for a large piece. */
export const CONFIG_ALIASES_MAX = 100;
/** A credential or a private key, and a file of certificates, bytes. */
export const CREDENTIAL_BYTES_MAX = 8_192;
export const PRIVATE_KEY_BYTES_MAX = 65_536;
export const CA_FILE_BYTES_MAX = 1_048_576;
/** limits.body_bytes: the scanner's offsets have 32 bits. */
export const BODY_BYTES_MAX = 1_073_741_824;
/** limits.body_bytes_in_flight: more than a worker can hold. */
export const BODY_BYTES_IN_FLIGHT_MAX = 68_719_476_736;
/** Credentials of one provider: a request remembers which it tried in the bits of one integer. */
export const CREDENTIALS_MAX = 16;
/** Keys, models and providers in one configuration. */
export const KEYS_MAX = 100_000;
export const MODELS_MAX = 10_000;
export const PROVIDERS_MAX = 1_000;
/** Targets of one model: a request remembers which it tried in the bits of one integer. */
export const TARGETS_MAX = 16;
/** weight and priority of a target. */
export const TARGET_WEIGHT_MAX = 1_000;
export const TARGET_PRIORITY_MAX = 100;
/** Routes with conditions of one model. */
export const MODEL_ROUTES_MAX = 16;
/** Names in one part of a condition, values of one name, and bytes of a value: each is looked at for each request of its model. */
export const CONDITION_NAMES_MAX = 8;
export const CONDITION_VALUES_MAX = 32;
export const CONDITION_VALUE_BYTES_MAX = 256;
/** Fields of bodies that the conditions of one configuration name: the scan compares each name of a body with them. */
export const CONDITION_FIELDS_MAX = 16;
/** Facts of one key's metadata. */
export const METADATA_MAX = 16;
/** context_window, tokens: two orders above the largest one known. */
export const CONTEXT_TOKENS_MAX = 1_000_000_000;
/** Tries of one request, whatever `attempts` says. */
export const ATTEMPTS_MAX = 32;
/** retries: the first pause is short beside any model's answer; the longest is one that a person still waits for. */
export const RETRY_PAUSE_MS_DEFAULT = 200;
export const RETRY_PAUSE_MAX_MS_DEFAULT = 5_000;
export const RETRY_PAUSE_MS_MAX = 60_000;
/** As Finagle and Linkerd have it: a fifth more load on what is failing already, and a few for what is hardly used. */
export const RETRY_BUDGET_PERCENT_DEFAULT = 20;
export const RETRY_BUDGET_MIN_DEFAULT = 10;
export const RETRY_BUDGET_MIN_MAX = 10_000;
export const RETRY_BUDGET_SECONDS = 10;
/** Requests, and what was taken, by the second. */
export const RETRY_BUDGET_WORDS = 2 * RETRY_BUDGET_SECONDS;
/** A second attempt beside a slow one: of how many requests of 100, and at how many at a time. */
export const HEDGE_PERCENT_DEFAULT = 5;
export const HEDGE_IN_FLIGHT_DEFAULT = 20;
export const HEDGE_IN_FLIGHT_MAX = 1_000;
export const HEDGE_AFTER_MS_MAX = 600_000;
/** Answers of a target that have to be known before its p95 is; and what is too short to be one: a turn of the wheel. */
export const HEDGE_SAMPLES_MIN = 50;
/** A hedge has its own copy of the body: larger ones are not hedged. */
export const HEDGE_BODY_BYTES_MAX = 1_048_576;
/** How long a turn of a worker's loop may take, all of that time, before new requests are shed; what it means that there are many. */
export const SHED_DELAY_MS_DEFAULT = 50;
export const SHED_DELAY_MS_MIN = 5;
export const SHED_DELAY_MS_MAX = 10_000;
export const SHED_INTERVAL_MS = 500;
export const SHED_REQUESTS_MIN = 100;
/** While requests are shed: how often it is tried whether longer turns would have room for all. */
export const SHED_PROBE_MS = 5_000;
/** For so long after the last request that it shed a worker is said to shed. */
export const SHED_TOLD_MS = 1_000;
/** Targets that workers know something of together, since the gateway started; of more, each worker knows its own. */
export const TARGET_SLOTS_MAX = 4_096;
/** Of a breaker, and of what else is known of a target, 32 bits each. */
export const BREAKER_WORDS = 16;
export const TARGET_WORDS = 208;
/** Of how long attempts at a target waited: quarters of an octave from 1 ms to 18 minutes. */
export const WAIT_BUCKETS = 80;
/** Of a route, and of an arm of one, which have as many slots. */
export const ROUTE_WORDS = 32;
/** Of what is in flight at one: a word for each ring, and its name; whole cache lines. */
export const IN_FLIGHT_WORDS = RINGS_MAX + 16;
/** Latency of targets: in this time a peak that nothing confirms falls to 1/e, as in Finagle. */
export const LATENCY_DECAY_MS = 10_000;
/** What a failed try counts as, if it did not take longer. */
export const LATENCY_FAILED_MS = 10_000;
/** After so long without any answer of a target, one more request may find out. */
export const LATENCY_TRIAL_MS = 30_000;
/** The longest latency that is told from others. */
export const LATENCY_MS_MAX = 2_000_000;
/** Headroom: when a provider's limit comes back that does not say it, and the longest that one says which is believed. */
export const HEADROOM_RESET_MS_DEFAULT = 60_000;
export const HEADROOM_RESET_MS_MAX = 86_400_000;
/** Of the header that a request is hashed by, characters. */
export const HASH_CHARS_MAX = 256;
/** Arms of one model (split), and of all models together: 1,344 bytes each in a map that all workers share. */
export const SPLIT_ARMS_MAX = 16;
export const ARMS_MAX = 1_024;
/** Of one of them, 32 bits each. */
export const ARM_WORDS = 336;
export const ARM_SHARE_MAX = 1_000_000;
/** canary: what of a hundred requests it may get; the stable side is what it is compared with. */
export const CANARY_PERCENT_DEFAULT = 5;
export const CANARY_PERCENT_MAX = 50;
export const CANARY_ERROR_PERCENT_DEFAULT = 2;
export const CANARY_LATENCY_PERCENT_DEFAULT = 150;
export const CANARY_LATENCY_PERCENT_MAX = 100_000;
export const CANARY_PERCENTILE_DEFAULT = 95;
export const CANARY_REQUESTS_DEFAULT = 100;
export const CANARY_REQUESTS_MIN = 20;
export const CANARY_REQUESTS_MAX = 1_000_000;
export const CANARY_WINDOW_MS_DEFAULT = 300_000;
export const CANARY_WINDOW_MS_MIN = 1_000;
export const CANARY_WINDOW_MS_MAX = 86_400_000;
/** How often canaries are judged, and steps in which their window moves on. */
export const CANARY_INTERVAL_MS = 1_000;
export const CANARY_WINDOW_STEPS = 20;
/** shadow: copies of one worker at a time, and their bodies; what is read of one answer, which nobody sees. */
export const SHADOW_PERCENT_DEFAULT = 10;
export const SHADOWS_IN_FLIGHT_DEFAULT = 16;
export const SHADOWS_IN_FLIGHT_MAX = 256;
export const SHADOW_BYTES_IN_FLIGHT_MAX = 16_777_216;
export const SHADOW_ANSWER_BYTES_MAX = 16_777_216;
/** breaker: five failures in a row are no accident; ten seconds are short for an outage and long for a request. */
export const BREAKER_FAILURES_DEFAULT = 5;
export const BREAKER_ERROR_PERCENT_DEFAULT = 50;
export const BREAKER_REQUESTS_DEFAULT = 20;
export const BREAKER_COUNT_MAX = 1_000_000;
export const BREAKER_WINDOW_MS_DEFAULT = 10_000;
export const BREAKER_COOLDOWN_MS_DEFAULT = 10_000;
export const BREAKER_COOLDOWN_MAX_MS_DEFAULT = 120_000;
export const BREAKER_COOLDOWN_MS_MAX = 3_600_000;

/** health_check of a provider: often enough to be ahead of most requests, and nothing beside them. */
export const HEALTH_CHECK_INTERVAL_MS_DEFAULT = 10_000;
export const HEALTH_CHECK_INTERVAL_MS_MIN = 1_000;
export const HEALTH_CHECK_INTERVAL_MS_MAX = 3_600_000;
export const HEALTH_CHECK_TIMEOUT_MS_DEFAULT = 2_000;
export const HEALTH_CHECK_TIMEOUT_MS_MIN = 100;
/** One failure may be an accident; one success as well. */
export const HEALTH_CHECK_UNHEALTHY_AFTER_DEFAULT = 3;
export const HEALTH_CHECK_HEALTHY_AFTER_DEFAULT = 2;
export const HEALTH_CHECK_AFTER_MAX = 100;
/** Checks of one worker that run at a time; others are made by another worker, or a sweep later. */
export const HEALTH_CHECKS_MAX = 16;

/** Parts of a form that are looked at for the model; OpenAI's forms have a dozen. */
export const FORM_PARTS_MAX = 256;
/** Header block of one part, bytes. */
export const FORM_PART_HEAD_BYTES_MAX = 4_096;
/** Characters of a form's boundary (RFC 2046 5.1.1). */
export const FORM_BOUNDARY_CHARS_MAX = 70;
/** Sets of labels (key, model, provider, ...) that the store keeps in memory. */
export const LABEL_SETS_MAX = 2_048;

/** Longest timeout in the configuration: one day, far below the 24.8 days at which Node's timers wrap. */
export const TIMEOUT_MS_MAX = 86_400_000;
/** Timeouts and intervals, milliseconds; those that the configuration can change are defaults. */
export const CONNECT_TIMEOUT_MS_DEFAULT = 10_000;
export const FIRST_BYTE_TIMEOUT_MS_DEFAULT = 600_000;
export const IDLE_TIMEOUT_MS_DEFAULT = 120_000;
export const TOTAL_TIMEOUT_MS_DEFAULT = 3_600_000;
export const QUEUE_TIMEOUT_MS_DEFAULT = 5_000;
/** Longest pause in a request body: below the 10 s at which uWebSockets.js cuts the connection without an answer. */
export const BODY_IDLE_MS_MAX = 8_000;
/** For a PROXY header, a TLS handshake and a first byte, together; uWebSockets.js gives a plain connection as much. */
export const GREETING_MS_MAX = 10_000;
/** After which a connection that is not that far gives way to a new one, if there are GREETINGS_MAX of them. */
export const GREETING_PATIENCE_MS = 1_000;
/** For a client behind a front to take a byte of what waits for it; as uWebSockets.js has it. */
export const CLIENT_STALL_MS = 10_000;
export const STALL_TIMEOUT_MS_DEFAULT = 30_000;
export const DRAIN_TIMEOUT_MS_DEFAULT = 30_000;
/** What a worker gets beyond its drain deadline before it is killed. */
export const DRAIN_GRACE_MS = 5_000;
/**
 * How long a replaced worker keeps connections on which nothing happens: longer than the 10 s after which uWebSockets.js
 * closes them by itself, so that none is closed on a client that has just been told that it may use it for 8.
 */
export const QUIET_MS = 12_000;
export const UPSTREAM_KEEP_ALIVE_MS_DEFAULT = 20_000;
/** So much earlier than a provider says that it closes an idle connection, we do. */
export const KEEP_ALIVE_MARGIN_MS = 1_000;
/**
 * A worker whose heartbeat stands still for so long is killed and replaced: far more than a collection of garbage takes, and well
 * within a WatchdogSec= of 30 s, which ends the whole service.
 */
export const HUNG_AFTER_MS = 10_000;
/** After which a provider's host is resolved again, in use; getaddrinfo tells no time to live. */
export const ADDRESS_REFRESH_MS = 30_000;
/** After an attempt to resolve it that failed. */
export const ADDRESS_RETRY_MS = 1_000;
/** How long addresses are used that cannot be resolved again. */
export const ADDRESS_STALE_MS_MAX = 600_000;
/**
 * Answers in a row without an address, after which nobody uses it any more: one answer may have only some of the addresses of a host.
 */
export const ADDRESS_MISSES_MAX = 3;
/** How long an address that failed, or was slow, is tried behind the others of its host. */
export const ADDRESS_PENALTY_MS = 60_000;
/** After which the next address of a host is tried beside one that has not connected yet (RFC 8305 5). */
export const ADDRESS_HEAD_START_MS = 250;
/** After which a request on a used connection that fails without an answer is not taken for one that the provider never had. */
export const STALE_MS_MAX = 1_000;
/** How often a worker looks at the deadlines of everything in flight: deadlines are late by at most this. */
export const SWEEP_INTERVAL_MS = 100;
/** How often memory that was freed goes back to the system. */
export const SPARE_MEMORY_INTERVAL_MS = 10_000;
/**
 * The longest wait for the limits of a fallback that a client is told of beside the failure of another target, which may be over sooner: what the
 * OpenAI SDKs heed.
 */
export const RETRY_ADVICE_MS_MAX = 60_000;
/** Between two log lines about one kind of failure of one provider, or refused connections of a listener, per worker. */
export const TROUBLE_INTERVAL_MS = 10_000;
/** How often the supervisor looks at the rings: often enough for the fastest worker. */
export const DRAIN_INTERVAL_MS = 100;
/** A ring that holds fewer records is drained in one of DRAIN_PATIENCE_LOOKS looks: a transaction costs as much as 50 of them. */
export const DRAIN_RECORDS_MIN = 512;
export const DRAIN_PATIENCE_LOOKS = 5;

/** One encoded histogram after decompression, bytes: one with 5 digits over all 63 bits, each count 9 bytes, has 60 MB. */
export const HDR_ENCODED_BYTES_MAX = 8_388_608;
/** Counts in one histogram that is read from a file: 4 digits over 63 bits have 800,000. */
export const HDR_COUNTS_MAX = 1_048_576;
/** One line of a histogram log, bytes: an encoded histogram in base64. Real ones have under 100 KB. */
export const HDR_LINE_BYTES_MAX = 16_777_216;
/** Tags in the logs that one command reads: the sum of each is in memory, 270 KB. */
export const HDR_TAGS_MAX = 2_048;
/** Rounds (stretches without a gap) per tag that are kept apart to judge noise; more are put together in pairs. */
export const HDR_ROUNDS_MAX = 64;
