/** A list of things that know their neighbours: put at the end, taken from anywhere, in the same time however long it is. Pure. */

/** What stands in at most one chain at a time. */
export interface Link<T> {
  before: T | null;
  after: T | null;
}

export class Chain<T extends Link<T>> {
  first: T | null = null;
  #last: T | null = null;

  append(item: T): void {
    item.before = this.#last;
    item.after = null;
    if (this.#last === null) this.first = item;
    else this.#last.after = item;
    this.#last = item;
  }

  /** Which has to be in it. */
  remove(item: T): void {
    const { before, after } = item;
    if (before === null) this.first = after;
    else before.after = after;
    if (after === null) this.#last = before;
    else after.before = before;
    item.before = null;
    item.after = null;
  }
}
