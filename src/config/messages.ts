/** Messages between the supervisor and a gateway worker, over the fork's IPC channel (serialization "advanced"). */
import type { ExplainQuestion, Explanation } from "./explanation.ts";
import type { Config } from "./schema.ts";

/**
 * To a worker. The first is `configure`; further ones replace its snapshot without touching requests in flight. `program`: the one
 * that its supervisor runs (base/program.ts); a worker that was loaded from another one does not serve.
 */
export type ToWorker =
  | { readonly type: "configure"; readonly epoch: number; readonly config: Config; readonly program: string }
  /** Stop accepting, answer with `Connection: close`, finish what runs until the deadline, then exit with 0. */
  | { readonly type: "drain"; readonly deadlineMs: number }
  /** Answered with `explained`; of one that serves. */
  | { readonly type: "explain"; readonly id: number; readonly question: ExplainQuestion }
  /** The end of the channel will mean that others serve: drain then without cutting idle connections. */
  | { readonly type: "leave" };

/** From a worker. */
export type FromWorker =
  /**
   * The first configuration is in force and the port is served. `slot`: which ring and counters it holds; `notice`: why an
   * earlier ring file was put aside, for the log.
   */
  | { readonly type: "listening"; readonly epoch: number; readonly slot: number; readonly notice: string | null }
  | { readonly type: "configured"; readonly epoch: number }
  /** A provider fails, for the log: fields of pipeline/trouble.ts. */
  | {
      readonly type: "trouble";
      readonly provider: string;
      readonly code: string;
      readonly cause: string;
      readonly credential: number;
      readonly requestId: string;
      readonly count: number;
    }
  /** A target is left alone, or is back: fields of pipeline/target-health.ts. */
  | {
      readonly type: "breaker";
      readonly provider: string;
      readonly model: string;
      readonly open: boolean;
      readonly requestId: string;
    }
  /** A provider refuses one of several credentials, or takes it again: fields of pipeline/credential.ts. */
  | {
      readonly type: "credential";
      readonly provider: string;
      readonly credential: number;
      readonly source: string;
      readonly refused: boolean;
      readonly requestId: string;
    }
  /** A provider is unhealthy, or healthy again: fields of pipeline/health-checks.ts. */
  | { readonly type: "health"; readonly provider: string; readonly healthy: boolean; readonly cause: string }
  /** Connections are refused, for the log: fields of http/refusals.ts. */
  | {
      readonly type: "refused";
      readonly listener: string;
      readonly reason: string;
      readonly detail: string;
      readonly count: number;
    }
  /** A threshold of a budget was reached, for the log: fields of pipeline/limit.ts. */
  | {
      readonly type: "budget";
      readonly budget: string;
      readonly quantity: string;
      readonly limit: number;
      readonly percent: number;
      readonly subject: Readonly<Record<string, string>>;
      readonly requestId: string;
    }
  | { readonly type: "explained"; readonly id: number; readonly explanation: Explanation }
  /** It cannot go on and exits after this. `code`: of a CodedError. */
  | { readonly type: "failed"; readonly code: string; readonly message: string };
