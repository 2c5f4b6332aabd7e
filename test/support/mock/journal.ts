/** What the mock provider saw, kept for the tests; lives in the mock's process and is served on its control port. */
import { createHash, type Hash } from "node:crypto";
import { headerOf, type ReceivedHead } from "./request-reader.ts";

/** `aborted`: the gateway closed before the answer was complete; `cut`: the mock did, as a fault. */
export type SeenState = "receiving" | "received" | "answered" | "aborted" | "cut";

/** One request as the tests get it, in JSON. */
export interface Seen {
  readonly id: number;
  /** Number of the connection, from 1. */
  readonly connection: number;
  readonly method: string;
  readonly target: string;
  /** Exact head, latin1. */
  readonly head: string;
  readonly headers: readonly (readonly [string, string])[];
  /** Base64 of the first BODY_KEPT_BYTES_MAX bytes. */
  readonly body: string;
  readonly bodyBytes: number;
  readonly bodySha256: string;
  readonly state: SeenState;
}

export interface Journal {
  readonly requests: readonly Seen[];
  /** All since the start or the last reset, also those no longer in `requests`. */
  readonly requestsTotal: number;
  readonly abortedTotal: number;
  readonly connectionsTotal: number;
  readonly connectionsOpen: number;
  /** Requests or connections that were not HTTP/1.1: a defect of the gateway. */
  readonly faults: readonly string[];
}

/** How often a request with an `x-audit-id` came, and was answered to its end. */
export interface Audited {
  begun: number;
  answered: number;
}

const BODY_KEPT_BYTES_MAX = 1_048_576;
const REQUESTS_KEPT_MAX = 256;

export class Entry {
  readonly id: number;
  readonly connection: number;
  readonly head: ReceivedHead;
  state: SeenState = "receiving";
  bodyBytes = 0;
  private readonly hash: Hash = createHash("sha256");
  private readonly kept: Buffer[] = [];
  private digest = "";

  constructor(id: number, connection: number, head: ReceivedHead) {
    this.id = id;
    this.connection = connection;
    this.head = head;
  }

  add(bytes: Buffer): void {
    if (this.bodyBytes < BODY_KEPT_BYTES_MAX) this.kept.push(Buffer.from(bytes));
    this.bodyBytes += bytes.length;
    this.hash.update(bytes);
  }

  endBody(): void {
    this.state = "received";
    this.digest = this.hash.digest("hex");
  }

  /** The kept part of the body. */
  body(): Buffer {
    return Buffer.concat(this.kept);
  }

  sha256(): string {
    return this.digest;
  }
}

export class Recorder {
  private entries: Entry[] = [];
  private faults: string[] = [];
  /** By id; not forgotten before a reset. */
  private audited = new Map<string, Audited>();
  private requestsTotal = 0;
  private abortedTotal = 0;
  private connectionsTotal = 0;
  private connectionsOpen = 0;

  /** Returns the number of the new connection. */
  connected(): number {
    this.connectionsOpen += 1;
    this.connectionsTotal += 1;
    return this.connectionsTotal;
  }

  disconnected(): void {
    this.connectionsOpen -= 1;
  }

  begin(connection: number, head: ReceivedHead): Entry {
    this.requestsTotal += 1;
    const entry = new Entry(this.requestsTotal, connection, head);
    this.entries.push(entry);
    if (this.entries.length > REQUESTS_KEPT_MAX) this.entries.shift();
    const id = headerOf(head, "x-audit-id");
    if (id === undefined) return entry;
    const audited = this.audited.get(id);
    if (audited === undefined) this.audited.set(id, { begun: 1, answered: 0 });
    else audited.begun += 1;
    return entry;
  }

  answered(entry: Entry): void {
    entry.state = "answered";
    const audited = this.audited.get(headerOf(entry.head, "x-audit-id") ?? "");
    if (audited !== undefined) audited.answered += 1;
  }

  audit(): Readonly<Record<string, Audited>> {
    return Object.fromEntries(this.audited);
  }

  aborted(entry: Entry): void {
    entry.state = "aborted";
    this.abortedTotal += 1;
  }

  fault(what: string): void {
    this.faults.push(what);
  }

  reset(): void {
    this.entries = [];
    this.faults = [];
    this.audited = new Map();
    this.requestsTotal = 0;
    this.abortedTotal = 0;
    this.connectionsTotal = 0;
  }

  journal(): Journal {
    const { requestsTotal, abortedTotal, connectionsTotal, connectionsOpen, faults } = this;
    const requests = this.entries.map(seen);
    return { requests, requestsTotal, abortedTotal, connectionsTotal, connectionsOpen, faults };
  }
}

function seen(entry: Entry): Seen {
  const { id, connection, head, state, bodyBytes } = entry;
  const { method, target, headers } = head;
  const raw = head.raw.toString("latin1");
  const body = entry.body().toString("base64");
  return {
    id,
    connection,
    method,
    target,
    head: raw,
    headers,
    body,
    bodyBytes,
    bodySha256: entry.sha256(),
    state,
  };
}
