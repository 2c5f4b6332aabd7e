/**
 * The admin server: health, metrics, latency histograms and version on their own port, for the operator's tools and not for
 * applications. Supervisor main thread. Knows nothing of workers: it shows what its source says at the moment of the request.
 */
import { type FastifyError, type FastifyInstance, type FastifyReply, fastify } from "fastify";
import type { Answer } from "../telemetry/latency/rotation.ts";
import { FORMS, type Form, type Query } from "../telemetry/latency/selection.ts";

/** A request that is not complete after this is cut, milliseconds. */
const REQUEST_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_MS = 30_000;
/** No route takes a body. */
const BODY_BYTES_MAX = 1_024;
const HISTOGRAMS: Readonly<Record<Form, { readonly path: string; readonly type: string }>> = {
  json: { path: "/histograms", type: "application/json; charset=utf-8" },
  hgrm: { path: "/histograms.hgrm", type: "text/plain; charset=utf-8" },
  v2: { path: "/histograms.v2", type: "text/plain; charset=utf-8" },
};
const ROUTES = ["/health/live", "/health/ready", "/metrics", ...FORMS.map((form) => HISTOGRAMS[form].path), "/version"];

/** No route has a schema. Without these, fastify loads compilers for them, which hold 2 MB. */
const NO_SCHEMAS = { buildValidator: noSchema, buildSerializer: noSchema };

function noSchema(): never {
  throw new Error("routes of the admin server have no schemas");
}

export interface Readiness {
  readonly ready: boolean;
  /** Why, in a few words. */
  readonly reason: string;
}

export interface AdminSource {
  readonly version: string;
  readiness(): Readiness;
  metrics(): Promise<string>;
  metricsType(): string;
  histograms(form: Form, query: Query): Promise<Answer>;
}

export interface AdminServer {
  /** http://host:port */
  readonly url: string;
  /** Of its listening socket. */
  readonly descriptor: number;
  close(): Promise<void>;
}

/**
 * Serves `source`. `listening`: a socket that listens there already; null: there is none. Rejects with the error of the
 * socket when the address cannot be used.
 */
export async function openAdmin(
  host: string,
  port: number,
  source: AdminSource,
  listening: number | null = null,
): Promise<AdminServer> {
  const server = fastify({
    logger: false,
    schemaController: { compilersFactory: NO_SCHEMAS },
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    forceCloseConnections: true,
  });
  addRoutes(server, source);
  addErrors(server);
  const url = await server.listen({ host, port, ...(listening === null ? {} : { fd: listening }) });
  // Node has no name for it.
  const { _handle: handle } = server.server as unknown as { readonly _handle: { readonly fd: number } };
  return { url, descriptor: handle.fd, close: () => server.close() };
}

function addRoutes(server: FastifyInstance, source: AdminSource): void {
  server.addHook("onSend", async (_request, reply) => {
    reply.header("cache-control", "no-store");
  });
  server.get("/health/live", async () => ({ status: "live" }));
  server.get("/health/ready", async (_request, reply) => {
    const { ready, reason } = source.readiness();
    return reply.code(ready ? 200 : 503).send({ status: ready ? "ready" : "not ready", reason });
  });
  server.get("/metrics", async (_request, reply) => {
    const text = await source.metrics();
    return reply.type(source.metricsType()).send(text);
  });
  for (const form of FORMS) {
    server.get<{ Querystring: Query }>(HISTOGRAMS[form].path, async (request, reply) =>
      sendHistograms(reply, form, await source.histograms(form, request.query)),
    );
  }
  server.get("/version", async () => ({ name: "sluice", version: source.version }));
}

function sendHistograms(reply: FastifyReply, form: Form, answer: Answer): FastifyReply {
  if (answer.status === 200) return reply.type(HISTOGRAMS[form].type).send(answer.text);
  const code = { 400: "bad_query", 404: "not_found", 503: "unavailable" }[answer.status];
  return reply.code(answer.status).send({ error: { code, message: answer.message } });
}

function addErrors(server: FastifyInstance): void {
  server.setNotFoundHandler(async (request, reply) => {
    const hint = request.url.startsWith("/v1") ? " The OpenAI API is served on the proxy port (setting 'listen')." : "";
    const message = `There is no ${request.method} ${request.url} here. There is GET ${ROUTES.join(", ")}.${hint}`;
    return reply.code(404).send({ error: { code: "not_found", message } });
  });
  server.setErrorHandler<FastifyError>(async (error, _request, reply) => {
    const status = error.statusCode ?? 500;
    const message = status < 500 ? error.message : "The admin server failed.";
    return reply.code(status).send({ error: { code: error.code ?? "internal_error", message } });
  });
}
