/** Which API call a path is. Step of the pipeline; pure. */
import { ERRORS } from "../base/errors.ts";
import { ENDPOINTS } from "../telemetry/record.ts";
import type { Exchange, Verdict } from "./exchange.ts";

export const ENDPOINT_OTHER = 0;
export const ENDPOINT_CHAT = 1;
export const ENDPOINT_COMPLETIONS = 2;
export const ENDPOINT_EMBEDDINGS = 3;
export const ENDPOINT_RESPONSES = 4;
export const ENDPOINT_MODERATIONS = 5;
export const ENDPOINT_MODELS = 6;

const PREFIX = "/v1/";
const byPath = new Map<string, number>(ENDPOINTS.map((name, number) => [PREFIX + name, number]));
byPath.delete(`${PREFIX}${ENDPOINTS[ENDPOINT_OTHER]}`);

/**
 * Dot segments would leave the provider's base path with the provider's credential. Servers and proxies differ in what they
 * take for a separator: some decode "%2f" before they resolve dots, some take a backslash, some cut a segment at ";". Empty
 * segments, a slash at the end among them, are left out by some: then the path would be another endpoint for the provider.
 */
const ODD_SEGMENT = /(?:[/\\]|%2f|%5c)(?:\.|%2e){0,2}(?:[/\\;]|%2f|%5c|%3b|$)/i;

/** Sets `endpoint`. 404 outside of /v1/, 405 for a known endpoint with another method. */
export function classify(exchange: Exchange): Verdict {
  const { path, method } = exchange;
  const endpoint = byPath.get(path) ?? ENDPOINT_OTHER;
  exchange.endpoint = endpoint;
  if (endpoint === ENDPOINT_MODELS) return method === "GET" ? null : exchange.fail(ERRORS.methodNotAllowed, method);
  if (endpoint !== ENDPOINT_OTHER) return method === "POST" ? null : exchange.fail(ERRORS.methodNotAllowed, method);
  if (!path.startsWith(PREFIX) || path.length === PREFIX.length || ODD_SEGMENT.test(path)) {
    return exchange.fail(ERRORS.notFound, `${method} ${path}`);
  }
  if (isModelPath(exchange)) exchange.endpoint = ENDPOINT_MODELS;
  return null;
}

function isModelPath({ path, method }: Exchange): boolean {
  return method === "GET" && path.startsWith("/v1/models/");
}

/** Whether the body must be JSON with a model. */
export function takesModel(endpoint: number): boolean {
  return endpoint >= ENDPOINT_CHAT && endpoint <= ENDPOINT_MODERATIONS;
}

const MODEL_PATHS = new Set([
  "/v1/audio/speech",
  "/v1/audio/transcriptions",
  "/v1/audio/translations",
  "/v1/images/edits",
  "/v1/images/generations",
  "/v1/images/variations",
  "/v1/rerank",
]);

/**
 * Whether the provider works with the model that the body names. Elsewhere a name in the body says nothing: a batch's
 * models stand in a file, an engine's in the path, and a GET takes no body at all.
 */
export function modelDecides({ endpoint, method, path }: Exchange): boolean {
  return method === "POST" && (takesModel(endpoint) || MODEL_PATHS.has(path));
}

/** Whether a stream of this endpoint has `stream_options.include_usage`. */
export function hasUsageOption(endpoint: number): boolean {
  return endpoint === ENDPOINT_CHAT || endpoint === ENDPOINT_COMPLETIONS;
}
