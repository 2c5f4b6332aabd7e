/**
 * A map whose keys are tuples: one Map per part, walked part by part. For tuples of texts and numbers that come again all
 * the time: no key has to be built, joined or hashed anew, which took longer than everything else about a sum. Pure.
 *
 *   root.at("key").at("model").at(200).value
 */
export class TupleMap<Value> {
  /** What is kept under the tuple that leads here. */
  value: Value | undefined = undefined;
  #next: Map<string | number, TupleMap<Value>> | null = null;

  /** Where the tuples go on whose next part is `part`. */
  at(part: string | number): TupleMap<Value> {
    this.#next ??= new Map();
    const found = this.#next.get(part);
    if (found !== undefined) return found;
    const made = new TupleMap<Value>();
    this.#next.set(part, made);
    return made;
  }
}
