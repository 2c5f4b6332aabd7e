/** What is in flight at a target of several workers in one process, as in shm/in-flight.ts, and some of it. */
import { InFlight } from "../../src/base/in-flight.ts";

/** One target, as each of the workers has it. */
export function inFlightOf(workers: number): readonly InFlight[] {
  const columns = new Int32Array(workers);
  return Array.from({ length: workers }, (_, own) => new InFlight(columns, Int32Array.of(workers), own));
}

export function enterTimes(inFlight: InFlight, times: number): void {
  for (let i = 0; i < times; i += 1) inFlight.enter();
}
