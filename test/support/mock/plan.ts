/** An answer of the mock provider before it is sent: faults change it or deliver it badly. Pure. */

export type HeaderList = readonly (readonly [string, string])[];

export interface Plan {
  readonly status: number;
  readonly headers: HeaderList;
  /** Each is sent in a write (and chunk) of its own. */
  readonly pieces: Iterable<Buffer>;
  readonly framing: "length" | "chunked" | "close";
}

/** A JSON answer with a content-length. */
export function jsonPlan(status: number, value: unknown, headers: HeaderList = []): Plan {
  const body = Buffer.from(JSON.stringify(value));
  return { status, headers: [["content-type", "application/json"], ...headers], pieces: [body], framing: "length" };
}

/** A binary answer with a content-length. */
export function bytesPlan(type: string, body: Buffer): Plan {
  return { status: 200, headers: [["content-type", type]], pieces: [body], framing: "length" };
}

/** An event stream, one chunk per event. */
export function ssePlan(events: Iterable<string>): Plan {
  return {
    status: 200,
    headers: [
      ["content-type", "text/event-stream; charset=utf-8"],
      ["cache-control", "no-cache"],
    ],
    pieces: Array.from(events, (event) => Buffer.from(event)),
    framing: "chunked",
  };
}

/** `data: JSON` with its empty line. */
export function dataEvent(value: unknown): string {
  return `data: ${JSON.stringify(value)}\n\n`;
}

/** The provider's error shape. */
export function errorPlan(status: number, message: string, headers: HeaderList = []): Plan {
  const error = { message, type: "provider_error", param: null, code: `mock_${status}` };
  return jsonPlan(status, { error }, headers);
}

/** The whole body. */
export function bodyOf(plan: Plan): Buffer {
  return Buffer.concat(Array.from(plan.pieces));
}

/** The first half of the pieces; of a single piece, half of its bytes. */
export function firstHalf(plan: Plan): Buffer[] {
  const pieces = Array.from(plan.pieces);
  const [only] = pieces;
  if (pieces.length === 1 && only !== undefined) return [only.subarray(0, only.length >> 1)];
  return pieces.slice(0, pieces.length >> 1);
}

/** What firstHalf() leaves. */
export function secondHalf(plan: Plan): Buffer[] {
  const pieces = Array.from(plan.pieces);
  const [only] = pieces;
  if (pieces.length === 1 && only !== undefined) return [only.subarray(only.length >> 1)];
  return pieces.slice(pieces.length >> 1);
}
