/**
 * What the operator is told about providers that fail: the first failure of a kind at once, and then at most one line per
 * TROUBLE_INTERVAL_MS with the count. Gateway worker; called on failures only. Bounded by providers times rows.
 */
import type { ErrorRow } from "../base/errors.ts";
import { TROUBLE_INTERVAL_MS } from "../base/limits.ts";
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

interface Kind {
  toldMs: number;
  count: number;
}

export class Troubles {
  readonly #tell: (trouble: Trouble) => void;
  readonly #kinds = new Map<string, Kind>();

  constructor(tell: (trouble: Trouble) => void) {
    this.#tell = tell;
  }

  /** Notes a failure if it is the provider's. */
  note(exchange: Exchange, error: ErrorRow, nowMs: number): void {
    if (error.type !== "upstream_error" || exchange.target === null) return;
    const provider = exchange.target.provider.name;
    const kind = this.#kindOf(`${provider} ${error.code}`);
    kind.count += 1;
    if (nowMs - kind.toldMs < TROUBLE_INTERVAL_MS) return;
    const { requestId, failureCause: cause } = exchange;
    this.#tell({ provider, code: error.code, cause, requestId, count: kind.count });
    kind.toldMs = nowMs;
    kind.count = 0;
  }

  #kindOf(name: string): Kind {
    const found = this.#kinds.get(name);
    if (found !== undefined) return found;
    const kind = { toldMs: -Infinity, count: 0 };
    this.#kinds.set(name, kind);
    return kind;
  }
}
