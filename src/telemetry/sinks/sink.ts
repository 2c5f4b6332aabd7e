/**
 * The contract of everything that records go to. A sink runs in a pool thread, is written to by one task at a time, and
 * answers with an outcome instead of throwing: a disk that is full is not a programmer error.
 */

export type Outcome =
  /** The whole batch is safe. */
  | { readonly kind: "written" }
  /** Nothing is lost: the batch is kept, by the sink or in the ring, and tried again. `reason` is for the log. */
  | { readonly kind: "held"; readonly reason: string }
  /** `records` of the batch are lost for this sink. `reason` is a bounded metric label. */
  | { readonly kind: "dropped"; readonly reason: string; readonly records: number };

/** What happens when a sink is down for long. */
export type OverflowPolicy =
  /** Records stay in the ring; when that is full, the worker drops the newest and counts it. */
  | "wait-in-ring"
  /** The sink keeps a bounded number of bytes and then drops the newest batches. */
  | "drop-newest";

export interface Sink<Batch> {
  readonly overflow: OverflowPolicy;
  write(batch: Batch): Outcome;
}

/** What went wrong, for an Outcome: errno, where there is one, first. Node's own messages begin with it. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (!("code" in error) || error.message.startsWith(`${error.code}: `)) return error.message;
  return `${error.code}: ${error.message}`;
}

/** The bounded part of a reason: an errno or error code, else "other". */
export function reasonLabel(reason: string): string {
  return /^([A-Z][A-Z0-9_]+):/.exec(reason)?.[1] ?? "other";
}
