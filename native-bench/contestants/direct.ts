/** The mock provider called without anything in between: what everyone else's latency is measured against. */
import type { Contestant, Endpoint } from "../contestant.ts";
import type { Mock } from "../runner/mock.ts";

export const DIRECT = "direct";

export class Direct implements Contestant {
  readonly name = DIRECT;
  readonly #mock: Mock;

  constructor(mock: Mock) {
    this.#mock = mock;
  }

  async start(): Promise<void> {}

  pids(): number[] {
    return this.#mock.pids();
  }

  get endpoint(): Endpoint {
    return { port: this.#mock.port, path: "/v1/chat/completions", headers: [], model: "gpt-4o" };
  }

  /** The load generator has no TLS: what TLS adds is part of what the others add. */
  get secureEndpoint(): Endpoint {
    return this.endpoint;
  }

  versions(): Record<string, string> {
    return {};
  }

  /** The mock belongs to the runner. */
  async stop(): Promise<void> {}
}
