/**
 * The one error table. On the request path a step returns a row; `pipeline/rescue.ts` renders it for the client.
 * Off the request path a CodedError with a `cause` is thrown. The numbers are stored in records and metrics: append
 * only, never renumber.
 */

export type ErrorType =
  | "invalid_request_error"
  | "authentication_error"
  | "permission_error"
  | "rate_limit_error"
  | "insufficient_quota"
  | "server_error"
  | "upstream_error";

export interface ErrorRow {
  /** Number in records. */
  readonly number: number;
  /** `error.code` in the answer, and the metric label. */
  readonly code: string;
  /** HTTP status; 0: the connection is closed without an answer, 499: the client is gone (never sent). */
  readonly status: number;
  readonly type: ErrorType;
  /** Whether the same request may succeed a moment later. */
  readonly retryable: boolean;
  /** For the client: what is wrong and what to do. `%` is replaced by a detail where the step has one. */
  readonly message: string;
}

function row(
  number: number,
  code: string,
  status: number,
  type: ErrorType,
  retryable: boolean,
  message: string,
): ErrorRow {
  return { number, code, status, type, retryable, message };
}

const BAD: ErrorType = "invalid_request_error";
const UP: ErrorType = "upstream_error";

export const ERRORS = {
  // The connection and the head
  badFraming: row(1, "bad_framing", 0, BAD, false, "The request framing is ambiguous."),
  headersTooLarge: row(2, "headers_too_large", 431, BAD, false, "The request headers are too large (limit % bytes)."),
  targetTooLong: row(3, "uri_too_long", 414, BAD, false, "The request target is too long (limit % bytes)."),
  invalidHeader: row(4, "invalid_header", 400, BAD, false, "A request header has a value that HTTP does not allow."),
  notFound: row(5, "unknown_url", 404, BAD, false, "Unknown request URL: %. The OpenAI API is served under /v1/."),
  methodNotAllowed: row(6, "method_not_allowed", 405, BAD, false, "This URL does not take the method %."),
  // Keys
  keyMissing: row(
    10,
    "missing_api_key",
    401,
    "authentication_error",
    false,
    "You didn't provide an API key. Send it as 'Authorization: Bearer KEY', 'api-key: KEY' or 'x-api-key: KEY'.",
  ),
  keyInvalid: row(11, "invalid_api_key", 401, "authentication_error", false, "Incorrect API key provided."),
  keyDisabled: row(12, "key_disabled", 401, "authentication_error", false, "This API key is disabled."),
  keyExpired: row(13, "key_expired", 401, "authentication_error", false, "This API key has expired."),
  modelNotAllowed: row(
    14,
    "model_not_allowed",
    403,
    "permission_error",
    false,
    "This API key may not use the model '%'.",
  ),
  modelRequiredByKey: row(
    15,
    "model_required",
    403,
    "permission_error",
    false,
    "This API key is limited to some models, and this request does not name one.",
  ),
  // The body
  bodyTooLarge: row(20, "request_too_large", 413, BAD, false, "The request body is too large (limit % bytes)."),
  bodyEmpty: row(21, "empty_body", 400, BAD, false, "The request body is empty; a JSON object is expected."),
  bodyTimeout: row(22, "body_timeout", 408, BAD, true, "The request body did not arrive in time."),
  invalidJson: row(23, "invalid_json", 400, BAD, false, "We could not parse the JSON body of your request%."),
  invalidUtf8: row(24, "invalid_utf8", 400, BAD, false, "The request body is not valid UTF-8."),
  jsonTooDeep: row(25, "json_too_deep", 400, BAD, false, "The JSON body is nested too deeply (limit % levels)."),
  jsonNotObject: row(26, "json_not_object", 400, BAD, false, "The JSON body must be an object."),
  modelMissing: row(27, "model_missing", 400, BAD, false, "You must provide a model parameter."),
  fieldType: row(28, "invalid_type", 400, BAD, false, "Invalid type for '%'."),
  fieldDuplicate: row(29, "duplicate_field", 400, BAD, false, "The field '%' appears more than once."),
  invalidMultipart: row(30, "invalid_multipart", 400, BAD, false, "The multipart body could not be read."),
  // Admission and routing
  overloaded: row(40, "overloaded", 503, "server_error", true, "The gateway is at capacity; try again in a moment."),
  modelNotFound: row(
    42,
    "model_not_found",
    404,
    BAD,
    false,
    "The model '%' does not exist or you do not have access to it.",
  ),
  noPassthrough: row(
    43,
    "no_provider_for_url",
    404,
    BAD,
    false,
    "No provider is configured for requests that name no model ('passthrough' in the configuration).",
  ),
  noTarget: row(47, "no_target_available", 503, UP, true, "No target of the model '%' takes requests at the moment."),
  noRoute: row(80, "no_route", 400, BAD, false, "No route of the model '%' is for requests like this one."),
  contextTooLong: row(
    81,
    "context_length_exceeded",
    400,
    BAD,
    false,
    "This model's maximum context length is %. Reduce the length of the messages or of the answer.",
  ),
  unsupported: row(82, "unsupported", 400, BAD, false, "This model does not support what the request asks for: %."),
  overrideNotAllowed: row(
    83,
    "override_not_allowed",
    403,
    "permission_error",
    false,
    "This API key may not use the header '%'.",
  ),
  overrideInvalid: row(84, "invalid_override", 400, BAD, false, "A header has a value that nothing stands for: %."),
  limitReached: row(44, "rate_limit_exceeded", 429, "rate_limit_error", true, "Rate limit reached: %."),
  limitTooSmall: row(
    45,
    "request_exceeds_limit",
    429,
    "rate_limit_error",
    false,
    "This request alone is more than a limit allows: %.",
  ),
  limitsUnavailable: row(
    46,
    "limits_unavailable",
    503,
    "server_error",
    true,
    "The gateway cannot count this request towards its limits at the moment.",
  ),
  budgetUsedUp: row(
    48,
    "insufficient_quota",
    402,
    "insufficient_quota",
    false,
    "What is left of a budget does not cover this request: %.",
  ),
  cutByLimit: row(
    49,
    "cut_by_limit",
    200,
    "rate_limit_error",
    false,
    "The answer was ended where a limit or a budget was.",
  ),
  // Upstream, before the first byte went to the client
  upstreamQueueFull: row(50, "upstream_queue_full", 503, UP, true, "Too many requests wait for the provider '%'."),
  upstreamQueueTimeout: row(
    51,
    "upstream_queue_timeout",
    503,
    UP,
    true,
    "No connection to the provider '%' became free in time.",
  ),
  upstreamUnreachable: row(52, "upstream_unreachable", 502, UP, true, "The provider '%' could not be reached."),
  upstreamTls: row(53, "upstream_tls_failed", 502, UP, false, "The TLS connection to the provider '%' failed."),
  upstreamConnectTimeout: row(
    54,
    "upstream_connect_timeout",
    504,
    UP,
    true,
    "Connecting to the provider '%' took too long.",
  ),
  upstreamProtocol: row(
    55,
    "upstream_protocol_error",
    502,
    UP,
    true,
    "The provider '%' sent something that is not HTTP/1.1.",
  ),
  upstreamReset: row(56, "upstream_reset", 502, UP, true, "The provider '%' closed the connection without an answer."),
  upstreamFirstByteTimeout: row(
    57,
    "upstream_first_byte_timeout",
    504,
    UP,
    true,
    "The provider '%' did not begin to answer in time.",
  ),
  upstreamAuth: row(
    58,
    "upstream_auth_failed",
    502,
    UP,
    false,
    "The provider '%' refused the gateway's credential; its operator has to renew it.",
  ),
  // Upstream, in the middle of the answer
  upstreamCut: row(60, "upstream_cut", 502, UP, true, "The provider '%' broke off in the middle of its answer."),
  upstreamIdleTimeout: row(
    61,
    "upstream_idle_timeout",
    504,
    UP,
    true,
    "The provider '%' stopped sending in the middle of its answer.",
  ),
  upstreamTotalTimeout: row(
    62,
    "upstream_total_timeout",
    504,
    UP,
    true,
    "The answer of the provider '%' took longer than the total timeout.",
  ),
  // The client
  clientAborted: row(70, "client_aborted", 499, BAD, false, "The client closed the connection."),
  clientStalled: row(71, "client_stalled", 499, BAD, false, "The client stopped reading."),
  drainDeadline: row(
    72,
    "drain_deadline",
    503,
    "server_error",
    true,
    "The gateway shut down before the answer was complete.",
  ),
} as const satisfies Record<string, ErrorRow>;

/** Highest `number` plus one: the size of a counter array by error number. */
export const ERROR_NUMBERS = 128;

const byNumber = new Map<number, ErrorRow>(Object.values(ERRORS).map((error) => [error.number, error]));

/** The row with this number, or undefined for 0 (no error) and for numbers of a newer version. */
export function errorByNumber(number: number): ErrorRow | undefined {
  return byNumber.get(number);
}

/** An error off the request path: a stable `code`, a message that says what to do, and the cause. */
export class CodedError extends Error {
  readonly code: string;

  constructor(code: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "CodedError";
    this.code = code;
  }
}
