/** What the operator is told about providers that fail, each kind within its ration. Gateway worker; called on failures only. */
import type { ErrorRow } from "../base/errors.ts";
import { Ration } from "../base/ration.ts";
import type { Exchange } from "./exchange.ts";

export interface Trouble {
  readonly provider: string;
  readonly code: string;
  /** The transport's own words, such as "connect ECONNREFUSED 127.0.0.1:9"; empty: it had none. */
  readonly cause: string;
  /** Of the last one. */
  readonly requestId: string;
  /** Failures of this kind since the last line. */
  readonly count: number;
}

export class Troubles {
  readonly #tell: (trouble: Trouble) => void;
  readonly #ration = new Ration();

  constructor(tell: (trouble: Trouble) => void) {
    this.#tell = tell;
  }

  /** Notes a failure if it is the provider's. */
  note(exchange: Exchange, error: ErrorRow, nowMs: number): void {
    if (error.type !== "upstream_error" || exchange.target === null) return;
    const provider = exchange.target.provider.name;
    const count = this.#ration.add(`${provider} ${error.code}`, nowMs);
    if (count === 0) return;
    const { requestId, failureCause: cause } = exchange;
    this.#tell({ provider, code: error.code, cause, requestId, count });
  }
}
