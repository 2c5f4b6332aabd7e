/**
 * The upstream request: the client's bytes with the few that must differ spliced in, the provider's path and headers.
 * Step of the pipeline, in the turn in which the body was scanned.
 */
import { nowMs, wallMs } from "../base/clock.ts";
import { withoutHeaders } from "../base/header-lines.ts";
import type { Credential, Target } from "../config/snapshot.ts";
import type { UpstreamRequest } from "../upstream/transport.ts";
import { takeCredential } from "./credential.ts";
import { takesModel } from "./endpoint.ts";
import type { Exchange } from "./exchange.ts";
import { spliceBody } from "./splice.ts";
import type { Upload } from "./upload.ts";

const IDENTITY = "\r\naccept-encoding: identity";
/** Length of "/v1". */
const VERSION_CHARS = 3;

/** Splices the body in place and describes the request. */
export function upstreamRequest(exchange: Exchange, target: Target): UpstreamRequest {
  spliceBody(exchange, target);
  return requestOf(exchange, target, fixedLines(exchange, target), exchange.bodyView(), exchange.bodyBytes);
}

/** The same once more, as it was but for the credential. */
export function withCredential(exchange: Exchange, target: Target, { lines }: Credential): UpstreamRequest {
  return requestOf(exchange, target, lines, exchange.bodyView(), exchange.bodyBytes);
}

/** The same of a body that still arrives. */
export function uploadRequest(exchange: Exchange, target: Target, upload: Upload): UpstreamRequest {
  upload.begin(exchange, target);
  return requestOf(exchange, target, fixedLines(exchange, target), upload.view(exchange), upload.ready());
}

/** `own`: credential and fixed headers. */
function requestOf(
  exchange: Exchange,
  target: Target,
  own: string,
  body: Buffer | null,
  bodyReady: number,
): UpstreamRequest {
  const path = pathOf(exchange, target);
  const lines = linesOf(exchange, target, own);
  return { method: exchange.method, path, lines, body, bodyReady: body === null ? 0 : bodyReady };
}

function pathOf(exchange: Exchange, target: Target): string {
  const path = target.basePath + exchange.path.slice(VERSION_CHARS);
  if (target.query === "") return exchange.query === "" ? path : `${path}?${exchange.query}`;
  return exchange.query === "" ? `${path}?${target.query}` : `${path}?${target.query}&${exchange.query}`;
}

/** What a request without a model names, files and batches, belongs to one account: it has always the first credential. */
function fixedLines(exchange: Exchange, { provider: { lines, rotation } }: Target): string {
  exchange.credential = -1;
  return rotation === null || exchange.route === null
    ? lines
    : takeCredential(exchange, rotation, wallMs(nowMs())).lines;
}

function linesOf(exchange: Exchange, { provider }: Target, own: string): string {
  // The edge has kept the client's credentials already, so only fixed headers can be in the way.
  const theirs = provider.headerNames.size > 1 ? withoutHeaders(exchange.lines, provider.headerNames) : exchange.lines;
  return `${own}${theirs}${encodingLine(exchange)}\r\nx-request-id: ${exchange.requestId}`;
}

/** Usage is read from the bytes that pass, and nothing is ever decompressed. */
function encodingLine({ endpoint, acceptEncoding }: Exchange): string {
  if (takesModel(endpoint)) return IDENTITY;
  return acceptEncoding === "" ? "" : `\r\naccept-encoding: ${acceptEncoding}`;
}
