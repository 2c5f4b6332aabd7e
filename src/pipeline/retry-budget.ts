/**
 * How many retries there may be: a share of the requests of the last ten seconds, and a few in any case. Gateway worker; pure, time
 * comes from the caller. A ring of one-second slots; nothing is allocated.
 */
import { RETRY_BUDGET_SECONDS } from "../base/limits.ts";

const MS_PER_S = 1_000;

export class RetryBudget {
  readonly #requests = new Float64Array(RETRY_BUDGET_SECONDS);
  readonly #retries = new Float64Array(RETRY_BUDGET_SECONDS);
  /** The second of the newest slot. */
  #second = 0;
  #requestsSum = 0;
  #retriesSum = 0;

  request(nowMs: number): void {
    const slot = this.#turn(nowMs);
    this.#requests[slot] = (this.#requests[slot] ?? 0) + 1;
    this.#requestsSum += 1;
  }

  /** Takes one retry; false: there is none left. */
  take(nowMs: number, percent: number, min: number): boolean {
    const slot = this.#turn(nowMs);
    if (this.#retriesSum >= Math.max(min, (this.#requestsSum * percent) / 100)) return false;
    this.#retries[slot] = (this.#retries[slot] ?? 0) + 1;
    this.#retriesSum += 1;
    return true;
  }

  /** The slot of this second; those that are ten seconds old are empty again. */
  #turn(nowMs: number): number {
    const second = Math.floor(nowMs / MS_PER_S);
    const passed = Math.min(second - this.#second, RETRY_BUDGET_SECONDS);
    for (let i = 1; i <= passed; i += 1) this.#empty((this.#second + i) % RETRY_BUDGET_SECONDS);
    // After a long pause all of them are empty, wherever the ring stands.
    this.#second = Math.max(second, this.#second);
    return this.#second % RETRY_BUDGET_SECONDS;
  }

  #empty(slot: number): void {
    this.#requestsSum -= this.#requests[slot] ?? 0;
    this.#retriesSum -= this.#retries[slot] ?? 0;
    this.#requests[slot] = 0;
    this.#retries[slot] = 0;
  }
}
