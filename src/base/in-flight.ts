/**
 * How many attempts run at a target, of all gateway workers together: a column for each worker, which nobody else writes, and their sum. So
 * nothing needs to be atomic, but for a bound, and what a worker had that died is its column, in whatever moment it died. Words of shm/in-flight.ts, or of a
 * process that is alone. Gateway worker; allocates nothing.
 */
export class InFlight {
  readonly #columns: Int32Array;
  readonly #used: Int32Array;
  readonly #own: number;

  /** `used`: its first word is how many columns there are. `own`: the one that is written here. */
  constructor(columns: Int32Array, used: Int32Array, own: number) {
    this.#columns = columns;
    this.#used = used;
    this.#own = own;
  }

  /** Of a process that shares with nobody. */
  static alone(): InFlight {
    return new InFlight(new Int32Array(1), Int32Array.of(1), 0);
  }

  enter(): void {
    this.#columns[this.#own] = (this.#columns[this.#own] ?? 0) + 1;
  }

  /** As enter(), unless there would be more than `most` then. Of workers that do so in the same moment none is let in rather than too many. */
  enterWithin(most: number): boolean {
    // An atomic one, so that each of two sees the other one's, or both do.
    Atomics.add(this.#columns, this.#own, 1);
    if (this.count <= most) return true;
    this.leave();
    return false;
  }

  leave(): void {
    this.#columns[this.#own] = (this.#columns[this.#own] ?? 0) - 1;
  }

  get count(): number {
    const columns = this.#columns;
    const end = this.#used[0] ?? 0;
    let sum = 0;
    for (let column = 0; column < end; column += 1) sum += columns[column] ?? 0;
    return sum;
  }
}
