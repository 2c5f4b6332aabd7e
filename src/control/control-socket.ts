/**
 * The control socket: orders to the running gateway from those who may write to its data directory, which is the service's
 * user and root. HTTP, because nothing else has to be invented. Supervisor main thread. Answers when an order was followed
 * or refused, so that the one who waits for it, systemd for example, knows.
 */
import { chmodSync, rmSync } from "node:fs";
import { fastify } from "fastify";
import { EXPLAIN_QUESTION_BYTES_MAX } from "../base/limits.ts";
import type { ControlOutcome, ControlState } from "../config/control-path.ts";
import { type ExplainOutcome, type ExplainQuestion, isExplainQuestion } from "../config/explanation.ts";

/** Longest path of a unix socket, bytes, without its NUL. */
const PATH_BYTES_MAX = 107;
/** Of MODEL/ROUTE, each of its bytes as %XX. */
const NAME_CHARACTERS_MAX = 1_024;
const REFUSED = 409;
const INVALID = 400;

export interface ControlSource {
  state(): ControlState;
  /** Reads the configuration file; refused: the one in force stays. */
  reload(): Promise<ControlOutcome>;
  /** Tries the program as it is installed now; if it works, it takes over soon after this resolved. */
  restart(): Promise<ControlOutcome>;
  /** The canary of this model, or MODEL/ROUTE, is tried again. */
  resetCanary(model: string): ControlOutcome;
  /** What would become of a request. */
  explain(question: ExplainQuestion): Promise<ExplainOutcome>;
}

export interface ControlSocket {
  close(): Promise<void>;
}

/** Serves `source` at `path`, in the place of a socket that an earlier gateway left. Rejects when that cannot be. */
export async function openControl(path: string, source: ControlSource): Promise<ControlSocket> {
  if (Buffer.byteLength(path) > PATH_BYTES_MAX) throw new Error(`the path is longer than ${PATH_BYTES_MAX} bytes`);
  const routerOptions = { maxParamLength: NAME_CHARACTERS_MAX };
  const server = fastify({ logger: false, bodyLimit: 1, forceCloseConnections: true, routerOptions });
  server.get("/state", async () => source.state());
  for (const order of ["reload", "restart"] as const) {
    server.post(`/${order}`, async (_request, reply) => {
      const outcome = await source[order]();
      return reply.code(outcome.refusal === null ? 200 : REFUSED).send(outcome);
    });
  }
  server.post("/explain", { bodyLimit: EXPLAIN_QUESTION_BYTES_MAX }, async ({ body }, reply) => {
    if (!isExplainQuestion(body)) return reply.code(INVALID).send({ error: "this is no question" });
    const outcome = await source.explain(body);
    return reply.code("error" in outcome ? REFUSED : 200).send(outcome);
  });
  server.post<{ Params: { model: string } }>("/canary/:model/reset", async ({ params }, reply) => {
    const outcome = source.resetCanary(params.model);
    return reply.code(outcome.refusal === null ? 200 : REFUSED).send(outcome);
  });
  rmSync(path, { force: true });
  await server.listen({ path });
  chmodSync(path, 0o600);
  return { close: () => server.close() };
}
