/** What the map of breakers says of providers and their credentials, for /metrics. Supervisor main thread; reads only. */
import { METRIC_SERIES_MAX } from "../base/limits.ts";
import { type BreakersMap, CREDENTIAL_AT, HEALTH_AT, restMs } from "../shm/breakers.ts";
import type { Family, Sample } from "./metrics.ts";

export interface CredentialName {
  readonly provider: string;
  /** From 1. */
  readonly number: number;
  /** Itself: only its slot is found by it, and it is not kept. */
  readonly value: string;
}

interface Slot {
  readonly labels: Record<string, string>;
  readonly slot: Int32Array;
}

const CREDENTIAL_LABELS = ["provider", "credential"];

export class ProviderTallies {
  readonly #map: BreakersMap;
  #credentials: readonly Slot[] = [];
  #checked: readonly Slot[] = [];

  constructor(map: BreakersMap) {
    this.#map = map;
  }

  /** Of providers that have several, and providers that are checked; beyond METRIC_SERIES_MAX they are not shown. */
  configure(credentials: readonly CredentialName[], checked: readonly string[]): void {
    this.#credentials = credentials.slice(0, METRIC_SERIES_MAX).map(({ provider, number, value }) => ({
      labels: { provider, credential: String(number) },
      slot: this.#map.slotOfCredential(provider, value),
    }));
    this.#checked = checked.slice(0, METRIC_SERIES_MAX).map((provider) => ({
      labels: { provider },
      slot: this.#map.slotOfHealth(provider),
    }));
  }

  counters(): Family[] {
    return [
      {
        name: "sluice_credential_failures_total",
        help: "Tries that a provider refused or limited (401, 429) for the credential, of providers that have several.",
        labelNames: CREDENTIAL_LABELS,
        samples: () => samplesOf(this.#credentials, CREDENTIAL_AT.failures),
      },
      {
        name: "sluice_health_checks_total",
        help: "Health checks of a provider that ended.",
        labelNames: ["provider"],
        samples: () => samplesOf(this.#checked, HEALTH_AT.checks),
      },
      {
        name: "sluice_health_check_failures_total",
        help: "Those of them that failed.",
        labelNames: ["provider"],
        samples: () => samplesOf(this.#checked, HEALTH_AT.failures),
      },
    ];
  }

  gauges(): Family[] {
    return [
      {
        name: "sluice_credential_refused",
        help: "1 from the time at which a provider refuses one of several credentials until it takes it again.",
        labelNames: CREDENTIAL_LABELS,
        samples: () => samplesOf(this.#credentials, CREDENTIAL_AT.refused),
      },
      {
        name: "sluice_credential_resting",
        help: "1 while one of several credentials is left alone, because it was refused or limited.",
        labelNames: CREDENTIAL_LABELS,
        samples: () =>
          this.#credentials.map(({ labels, slot }): Sample => [labels, restMs(slot, Date.now()) > 0 ? 1 : 0]),
      },
      {
        name: "sluice_provider_healthy",
        help: "1 for a provider that is checked and well, 0 while it is passed over.",
        labelNames: ["provider"],
        samples: () =>
          samplesOf(this.#checked, HEALTH_AT.unhealthy).map(([labels, unhealthy]): Sample => [labels, 1 - unhealthy]),
      },
    ];
  }
}

function samplesOf(slots: readonly Slot[], at: number): Sample[] {
  return slots.map(({ labels, slot }): Sample => [labels, Atomics.load(slot, at) >>> 0]);
}
