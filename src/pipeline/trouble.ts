/** What the operator is told about providers that fail, each kind within its ration. Gateway worker; called on failures only. */
import type { ErrorRow } from "../base/errors.ts";
import { Ration } from "../base/ration.ts";
import type { Exchange } from "./exchange.ts";

export interface Trouble {
  readonly provider: string;
  readonly code: string;
  /** The transport's own words, such as "connect ECONNREFUSED 127.0.0.1:9"; empty: it had none. */
  readonly cause: string;
  /** Of several ones the one that it was sent with, its number in the list, from 1; 0: there is no choice. */
  readonly credential: number;
  /** Of the last one. */
  readonly requestId: string;
  /** Failures of this kind since the last line. */
  readonly count: number;
}

/** An attempt, as it was before another one took its place. */
export type Failed = Pick<Exchange, "target" | "credential" | "failureCause" | "requestId">;

export class Troubles {
  readonly #tell: (trouble: Trouble) => void;
  readonly #ration = new Ration();

  constructor(tell: (trouble: Trouble) => void) {
    this.#tell = tell;
  }

  /** Notes a failure if it is the provider's. */
  note({ target, credential, failureCause: cause, requestId }: Failed, error: ErrorRow, nowMs: number): void {
    if (error.type !== "upstream_error" || target === null) return;
    const provider = target.provider.name;
    const count = this.#ration.add(`${provider} ${error.code}`, nowMs);
    if (count === 0) return;
    this.#tell({ provider, code: error.code, cause, credential: credential + 1, requestId, count });
  }
}
