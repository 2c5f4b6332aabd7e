/**
 * The canaries of the configuration: looked at once a second, and rolled back here, by one who sees what all workers counted. Supervisor main
 * thread. A canary that is rolled back stays that, in the map of arms, until its configuration is another one.
 */
import { nowMs } from "../base/clock.ts";
import { CANARY_INTERVAL_MS } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import { armKey, armKeys, CANARY } from "../config/arm.ts";
import type { ModelConfig } from "../config/model.ts";
import type { Config } from "../config/schema.ts";
import type { RollbackRules } from "../config/snapshot.ts";
import { ARM_AT, type ArmsMap } from "../shm/arms.ts";
import type { ArmStanding } from "../telemetry/arm-metrics.ts";
import { type CanaryVerdict, judge } from "./canary-verdict.ts";
import { CanaryWindow } from "./canary-window.ts";

const ROLLED_BACK = 1;

interface Watched {
  /** Of the canary. */
  readonly key: string;
  readonly model: string;
  readonly words: Int32Array;
  readonly rules: RollbackRules;
  readonly window: CanaryWindow;
}

export class Canaries {
  readonly #map: ArmsMap;
  #arms: readonly (Pick<ArmStanding, "model" | "arm" | "canary"> & { readonly words: Int32Array })[] = [];
  #watched: readonly Watched[] = [];

  constructor(map: ArmsMap) {
    this.#map = map;
  }

  /** The configuration with `arms` filled in. */
  numbered(config: Config): Config {
    return { ...config, arms: this.#map.number(armKeys(config)) };
  }

  /** Of a numbered configuration. What was seen of a canary that stays as it is goes on to count. */
  configure(config: Config, atMs = nowMs()): void {
    const former = new Map(this.#watched.map((watched) => [watched.key, watched]));
    const models = Object.entries(config.models);
    this.#arms = models.flatMap(([alias, model]) => this.#armsOf(alias, model, config.arms));
    this.#watched = models.flatMap(([alias, model]) => {
      const key = armKey(alias, model, 1);
      return former.get(key) ?? this.#watch(alias, model, config.arms, atMs) ?? [];
    });
  }

  #armsOf(alias: string, model: ModelConfig, slots: Config["arms"]) {
    return (model.arms?.list ?? []).flatMap(({ name }, place) => {
      const slot = slots.get(armKey(alias, model, place));
      if (slot === undefined) return [];
      const canary = model.arms?.rollback !== null && name === CANARY;
      return [{ model: alias, arm: name, canary, words: this.#map.slot(slot) }];
    });
  }

  #watch(alias: string, model: ModelConfig, slots: Config["arms"], atMs: number): Watched | null {
    const rules = model.arms?.rollback;
    const [stable, canary] = [slots.get(armKey(alias, model, 0)), slots.get(armKey(alias, model, 1))];
    if (!rules || stable === undefined || canary === undefined) return null;
    const words = this.#map.slot(canary);
    const window = new CanaryWindow(this.#map.slot(stable), words, rules.windowMs, atMs);
    return { key: armKey(alias, model, 1), model: alias, words, rules, window };
  }

  /** Configures, and looks from now on; what ends that. */
  start(config: Config, log: Log): () => void {
    this.configure(config);
    const timer = setInterval(() => {
      this.look(nowMs(), ({ reason, stable, canary, requests }, model) =>
        log.warn(
          { model, reason, stable, canary, requests },
          "canary rolled back: it gets no requests until it is changed or reset",
        ),
      );
    }, CANARY_INTERVAL_MS);
    return () => clearInterval(timer);
  }

  /** Rolls back what is worse than its stable side. */
  look(atMs: number, tell: (verdict: CanaryVerdict, model: string) => void): void {
    for (const { model, words, rules, window } of this.#watched) {
      const { stable, canary } = window.sides(atMs);
      if (Atomics.load(words, ARM_AT.gate) === ROLLED_BACK) continue;
      const verdict = judge(stable, canary, rules);
      if (verdict === null) continue;
      Atomics.store(words, ARM_AT.gate, ROLLED_BACK);
      tell(verdict, model);
    }
  }

  /** A canary that was rolled back is tried again, and compared from now on. False: the model has none. */
  reset(model: string, atMs = nowMs()): boolean {
    const found = this.#watched.find((watched) => watched.model === model);
    if (found === undefined) return false;
    found.window.begin(atMs);
    Atomics.store(found.words, ARM_AT.gate, 0);
    return true;
  }

  /** For metrics. */
  standings(): ArmStanding[] {
    return this.#arms.map(({ model, arm, canary, words }) => ({
      model,
      arm,
      canary,
      requests: Atomics.load(words, ARM_AT.requests) >>> 0,
      judged: Atomics.load(words, ARM_AT.judged) >>> 0,
      failed: Atomics.load(words, ARM_AT.failed) >>> 0,
      rolledBack: Atomics.load(words, ARM_AT.gate) === ROLLED_BACK,
    }));
  }
}
