/** What the map of breakers says of providers and their credentials, for /metrics. Supervisor main thread; reads only. */
import { METRIC_SERIES_MAX } from "../base/limits.ts";
import { type BreakersMap, CREDENTIAL_AT } from "../shm/breakers.ts";
import type { Family, Sample } from "./metrics.ts";

export interface CredentialName {
  readonly provider: string;
  /** From 1. */
  readonly number: number;
  /** Itself: only its slot is found by it, and it is not kept. */
  readonly value: string;
}

interface CredentialSlot {
  readonly labels: Record<string, string>;
  readonly slot: Int32Array;
}

const CREDENTIAL_LABELS = ["provider", "credential"];

export class ProviderTallies {
  readonly #map: BreakersMap;
  #credentials: readonly CredentialSlot[] = [];

  constructor(map: BreakersMap) {
    this.#map = map;
  }

  /** Of providers that have several; beyond METRIC_SERIES_MAX they are not shown. */
  configure(credentials: readonly CredentialName[]): void {
    this.#credentials = credentials.slice(0, METRIC_SERIES_MAX).map(({ provider, number, value }) => ({
      labels: { provider, credential: String(number) },
      slot: this.#map.slotOfCredential(provider, value),
    }));
  }

  counters(): Family[] {
    return [
      {
        name: "sluice_credential_failures_total",
        help: "Tries that a provider refused or limited (401, 429) for the credential, of providers that have several.",
        labelNames: CREDENTIAL_LABELS,
        samples: () => this.#samples(CREDENTIAL_AT.failures),
      },
    ];
  }

  gauges(): Family[] {
    return [
      {
        name: "sluice_credential_refused",
        help: "1 from the time at which a provider refuses one of several credentials until it takes it again.",
        labelNames: CREDENTIAL_LABELS,
        samples: () => this.#samples(CREDENTIAL_AT.refused),
      },
    ];
  }

  #samples(at: number): Sample[] {
    return this.#credentials.map(({ labels, slot }): Sample => [labels, Atomics.load(slot, at) >>> 0]);
  }
}
