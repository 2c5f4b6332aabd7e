/**
 * The canaries of the configuration: looked at once a second, and rolled back here, by one who sees what all workers counted. Supervisor main
 * thread. A canary that is rolled back stays that, in the map of arms, until its configuration is another one.
 */
import { nowMs } from "../base/clock.ts";
import { CANARY_INTERVAL_MS } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import { type ArmsOf, armKey, armKeys, armsIn, CANARY } from "../config/arm.ts";
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
  /** Name of the model, or of a route of it. */
  readonly route: string;
  readonly words: Int32Array;
  readonly rules: RollbackRules;
  readonly window: CanaryWindow;
}

export class Canaries {
  readonly #map: ArmsMap;
  #arms: readonly (Pick<ArmStanding, "model" | "route" | "arm" | "canary"> & { readonly words: Int32Array })[] = [];
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
    const owners = armsIn(config);
    this.#arms = owners.flatMap((owner) => this.#armsOf(owner, config.arms));
    this.#watched = owners.flatMap(
      (owner) => former.get(armKey(owner, owner.to, 1)) ?? this.#watch(owner, config.arms, atMs) ?? [],
    );
  }

  #armsOf(owner: ArmsOf, slots: Config["arms"]) {
    const { alias, name: route, to } = owner;
    return (to.arms?.list ?? []).flatMap(({ name }, place) => {
      const slot = slots.get(armKey(owner, to, place));
      if (slot === undefined) return [];
      const canary = to.arms?.rollback !== null && name === CANARY;
      return [{ model: alias, route, arm: name, canary, words: this.#map.slot(slot) }];
    });
  }

  #watch(owner: ArmsOf, slots: Config["arms"], atMs: number): Watched | null {
    const { alias, name: route, to } = owner;
    const rules = to.arms?.rollback;
    const [stable, canary] = [slots.get(armKey(owner, to, 0)), slots.get(armKey(owner, to, 1))];
    if (!rules || stable === undefined || canary === undefined) return null;
    const words = this.#map.slot(canary);
    const window = new CanaryWindow(this.#map.slot(stable), words, rules.windowMs, atMs);
    return { key: armKey(owner, to, 1), model: alias, route, words, rules, window };
  }

  /** Configures, and looks from now on; what ends that. */
  start(config: Config, log: Log): () => void {
    this.configure(config);
    const timer = setInterval(() => {
      this.look(nowMs(), ({ reason, stable, canary, requests }, { model, route }) =>
        log.warn(
          { model, route, reason, stable, canary, requests },
          "canary rolled back: it gets no requests until it is changed or reset",
        ),
      );
    }, CANARY_INTERVAL_MS);
    return () => clearInterval(timer);
  }

  /** Rolls back what is worse than its stable side. */
  look(atMs: number, tell: (verdict: CanaryVerdict, watched: Pick<Watched, "model" | "route">) => void): void {
    for (const watched of this.#watched) {
      const { words, rules, window } = watched;
      const { stable, canary } = window.sides(atMs);
      if (Atomics.load(words, ARM_AT.gate) === ROLLED_BACK) continue;
      const verdict = judge(stable, canary, rules);
      if (verdict === null) continue;
      Atomics.store(words, ARM_AT.gate, ROLLED_BACK);
      tell(verdict, watched);
    }
  }

  /** A canary that was rolled back is tried again, and compared from now on. False: the model, or the route MODEL/ROUTE, has none. */
  reset(name: string, atMs = nowMs()): boolean {
    const found = this.#watched.find(({ route }) => route === name);
    if (found === undefined) return false;
    found.window.begin(atMs);
    Atomics.store(found.words, ARM_AT.gate, 0);
    return true;
  }

  /** For metrics. */
  standings(): ArmStanding[] {
    return this.#arms.map(({ words, ...standing }) => ({
      ...standing,
      requests: Atomics.load(words, ARM_AT.requests) >>> 0,
      judged: Atomics.load(words, ARM_AT.judged) >>> 0,
      failed: Atomics.load(words, ARM_AT.failed) >>> 0,
      rolledBack: Atomics.load(words, ARM_AT.gate) === ROLLED_BACK,
    }));
  }
}
