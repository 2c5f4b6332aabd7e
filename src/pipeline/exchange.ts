/**
 * The exchange: everything about one request, in one object of one shape, from its head to its record. Gateway worker,
 * main thread. `Downstream` is what the pipeline sees of the client's connection (http/client-stream.ts implements it).
 */
import type { ErrorRow } from "../base/errors.ts";
import type { LimitStanding } from "../base/limit-terms.ts";
import type { Choice, KeyRecord, Route, Snapshot, Target } from "../config/snapshot.ts";
import { CONTENT_MOST } from "../providers/response-scan.ts";
import type { Attempt, UpstreamRequest } from "../upstream/transport.ts";
import type { FailedTry } from "./decision.ts";
import type { Hedge } from "./hedge.ts";
import type { Splice } from "./splice.ts";
import type { Upload } from "./upload.ts";
import type { Waiting } from "./wait-line.ts";
import type { Spoke } from "./wheel.ts";

/** A step's answer: null: go on; a row: stop and answer with it. */
export type Verdict = ErrorRow | null;

/** Where an exchange stands, for its deadlines. */
export const PHASE_BODY = 0;
/** Waits for a connection to become free. */
export const PHASE_QUEUED = 1;
export const PHASE_SENT = 2;
export const PHASE_STREAMING = 3;
export const PHASE_FLUSHING = 4;
export const PHASE_OVER = 5;
export const PHASE_CONNECTING = 6;
/** Before a retry. */
export const PHASE_PAUSE = 7;
/** For a limit to have room for it. */
export const PHASE_WAITING = 8;

/** For Downstream.end(). */
export const NO_BYTES = new Uint8Array(0);

export interface Downstream {
  /** The client is gone, or was cut: nothing can be written any more. */
  readonly closed: boolean;
  /** The reader is behind: what is written now is held here. */
  readonly blocked: boolean;
  /** Peer address in network order, 4 or 16 bytes; empty: not read. */
  address(): Uint8Array;
  /** A whole answer, also before the request's body arrived. `head` is made in response-head.ts. */
  reply(head: string, body: string): void;
  /** Sets the head; it goes out with the first bytes, or with the end. `length`: of the body; -1: not known. */
  begin(head: string, length: number): void;
  write(chunk: Uint8Array): void;
  /** All is written with these bytes. RequestHandler.onFlushed follows, at once or when the reader has caught up. */
  end(last: Uint8Array): void;
  /** Cuts the connection, so that the client sees an incomplete answer. */
  cut(): void;
}

/** What the edge tells about a client's connection; pipeline.ts implements it. */
export interface RequestHandler {
  /** In force for requests that begin now. */
  readonly snapshot: Snapshot;
  readonly draining: boolean;
  /** Of the answer to a request that is shed: its head up to the value of x-request-id, which is last, and its body. */
  readonly shedHead: string;
  readonly shedBody: string;
  /** A request begins: whether there is too much to do to take it. */
  refuses(startedMs: number): boolean;
  /** So many more were refused without asking, in the turn of the loop in which that was said. */
  onShed(count: number): void;
  open(down: Downstream, startedMs: number): Exchange;
  /** The head is read; `verdict` is the edge's own. True: the body is wanted, false: the exchange is answered. */
  onHead(exchange: Exchange, verdict: Verdict): boolean;
  /** Before `bytes` more of a body are held. A row: they must not be. */
  reserveBody(exchange: Exchange, bytes: number): Verdict;
  /** What reserveBody said is answered. */
  onRefused(exchange: Exchange, error: ErrorRow): void;
  /** More of a body has come whose length is known, and not all of it. */
  onBodyPart(exchange: Exchange): void;
  /** `body` and `bodyBytes` are complete. */
  onBody(exchange: Exchange): void;
  /** The reader caught up after `blocked`. */
  onCaughtUp(exchange: Exchange): void;
  /** Everything is handed over; the Downstream is not used again. */
  onFlushed(exchange: Exchange): void;
  /** The client closed the connection; the Downstream is closed. */
  onAborted(exchange: Exchange): void;
}

const NO_CHAIN: readonly Choice[] = [];

/** Of limits that count targets apart. */
export interface TargetGate {
  /** Whether they take an exchange at its target, which was `from`; null: it begins there beside another one. */
  move(exchange: Exchange, from: Target | null): boolean;
  /** An attempt that is not the exchange's any more has nothing of them. */
  leave(exchange: Exchange): void;
}

export class Exchange implements Spoke {
  // Where it stands in the wheel of everything in flight
  slot = -1;
  place = -1;

  // The head, filled by http/request-head.ts
  method = "";
  /** Index in METHODS. */
  methodNumber = 0;
  path = "";
  query = "";
  /** What goes on to the provider: CRLF name: value for each header, names in lower case. */
  lines = "";
  /** The same of headers that are for the gateway alone (x-sluice-...), which do not go on. */
  ownLines = "";
  /** Of the key's record in the snapshot, which the edge knew it by; -1: it did not. */
  keyNumber = -1;
  /** The gateway key as it was sent, where the edge did not know it; cleared once it is checked. */
  keyText = "";
  requestId = "";
  contentType = "";
  acceptEncoding = "";
  /** -1: chunked. */
  contentLength = 0;

  // Decisions
  readonly snapshot: Snapshot;
  /** The connection ends with this answer. */
  closing: boolean;
  /** The client said itself that it closes. */
  clientCloses = false;
  /** A body was announced and has not arrived whole. */
  bodyPending = false;
  /** Index in ENDPOINTS. */
  endpoint = 0;
  key: KeyRecord | null = null;
  route: Route | null = null;
  target: Target | null = null;
  /** The same, where its route has several. */
  choice: Choice | null = null;
  /** That of the fallbacks which it is in; empty: it is in none. */
  chain: readonly Choice[] = NO_CHAIN;
  /** False: only unhealthy providers were left for it. */
  heedsHealth = true;
  /** It is in its state's `inFlight`. */
  counted = false;
  /** When its try began, if its strategy learns from it; by base/clock.ts. */
  triedMs = 0;
  /** Its marks in the headroom of its target (headroom.ts). */
  requestsMark = 0;
  tokensMark = 0;
  /** Its try is the probe of a breaker that is half-open. */
  probing = false;
  /** Place of the credential that its try is sent with; -1: its provider has no choice of them. */
  credential = -1;
  /** Bits of those that this try was sent with. */
  credentialsTried = 0;
  /** How often a try was sent again with another one. */
  rotations = 0;
  /** How far it is judged, where its arm is (canary.ts). */
  trial = 0;
  /** Bits of the choices that were tried since the last pause. */
  tried = 0;
  /** Tries that others followed, the last ones; null: there are none. */
  failedTries: FailedTry[] | null = null;
  /** Bits of the choices that were passed over because their breakers were open. */
  leftAlone = 0;
  /** The same because checks of their providers fail. */
  unhealthy = 0;
  /** The same because their limits had no room. */
  full = 0;
  /** When those have room that could have followed a try, the first of them; by base/clock.ts. Infinity: there are none. */
  roomAtMs = Infinity;
  /** Bits of those that it may not be sent to at all. */
  excluded = 0;
  /** Pauses before retries. */
  rounds = 0;
  /** How long the one takes that it is in, milliseconds. */
  pauseMs = 0;
  model = "";
  stream = false;
  /** Bits of FEATURES that it asks for; -1: its body was not looked at for them. */
  features = -1;
  /** include_usage was added by us: the usage event is ours, not the client's. */
  usageAdded = false;
  /** What `%` in an error's message stands for. */
  detail = "";

  // The body
  /** What has come of it, with or without room behind it. */
  body: Buffer | null = null;
  bodyBytes = 0;
  /** What splices put in the place of what, in their order; null: nobody will ask. */
  splices: Splice[] | null = null;
  /** Of a large body that is still coming. */
  upload: Upload | null = null;
  /** Counted in the worker's bytes in flight. */
  bodyReserved = 0;
  /** For the estimate of the prompt's size. */
  textBytes = 0;
  /** Output tokens that the request allows at most; -1: it does not say. */
  outputTokensMax = -1;
  /** How many answers it asks for, in one. */
  answers = 1;
  /** The client wants the usage event of a stream. */
  usageAsked = false;
  /** Of the request's `user`, as it was sent; empty: it has none, or nobody asks. */
  user = "";

  // Limits
  /** Of its reservations and permits, to settle them; -1: it has none. */
  limitTicket = -1;
  /** What has a say when it goes to another target; null: nothing has. */
  gate: TargetGate | null = null;
  /** Output tokens that are reserved for it, where limits refuse more. */
  outputReserved = 0;
  /** How many pieces and bytes of the model's text that allows; beyond, the limits are asked again. */
  deltasAllowed = CONTENT_MOST;
  contentAllowed = CONTENT_MOST;
  /** The same of limits that count its target apart. */
  targetTicket = -1;
  /** Where it stands, for the head of its answer; null: no limit applies that says it. */
  standing: LimitStanding | null = null;
  /** When to try again, for the head of its answer: CRLF name: value for each header; empty: nobody says. */
  retryLines = "";
  /** Name of the limit or budget that refused it; empty: none did. */
  refusedBy = "";
  /** Its place in the queue of a limit; null: it does not wait. */
  waiting: Waiting | null = null;
  /** How long it did, milliseconds. */
  waitedMs = 0;
  /** Name of the limit that it did it for, the last one if there were several. */
  waitedFor = "";
  /** How its limits stood, for one that asks. */
  limitsTold = "";

  // Its hedge, where its route has them
  /** The second attempt, while both run. */
  hedge: Hedge | null = null;
  /** When one is due; Infinity: none is. */
  hedgeAtMs = Infinity;
  /** When its attempt began. */
  attemptMs = 0;

  // The answer
  readonly down: Downstream;
  /** Kept for a replay until the provider's head arrives. */
  request: UpstreamRequest | null = null;
  attempt: Attempt | null = null;
  /** Where the attempt stands. */
  attemptPhase = PHASE_QUEUED;
  attempts = 0;
  /** Its copy for a shadow target, until it was sent itself. */
  shadow: Exchange | null = null;
  replayed = false;
  upstreamStatus = 0;
  status = 0;
  /** Of the answer; -1: not known before it ends. */
  answerLength = -1;
  /** The answer has neither content-length nor chunked framing: only its content tells whether it is complete. */
  closeDelimited = false;
  eventStream = false;
  responseBytes = 0;
  /** Slot of the response scan; -1: none. */
  scan = -1;
  /** SEEN_ flags of the response scan. */
  seen = 0;
  /** Beginning of an event that is kept until it is known not to be the usage event. */
  held: Buffer | null = null;
  /** An event was too large to be held, and its beginning is with the client already. */
  heldReleased = false;
  /** The first events of a stream, where one that is cut needs them; null: not kept. */
  opening: Buffer | null = null;
  error: ErrorRow | null = null;
  /** The transport's own words about it, for the log. */
  failureCause = "";
  /** The request was written, or began to be: the provider may bill it. */
  sent = false;
  settled = false;

  // Clocks, milliseconds of base/clock.ts; 0: not reached
  readonly startedMs: number;
  authenticatedMs = 0;
  bodyMs = 0;
  scannedMs = 0;
  forwardedMs = 0;
  headMs = 0;
  firstChunkMs = 0;
  /** When a read last brought events to the client of a stream; by the clock of `borders` in response-scan.ts. */
  eventsMs = 0;
  /** From its start, for all of it. */
  totalMs: number;
  phase = PHASE_BODY;
  /** When the current phase began, or last moved on; at the sweep's resolution while streaming. */
  progressMs: number;

  constructor(snapshot: Snapshot, down: Downstream, startedMs: number, closing: boolean) {
    this.snapshot = snapshot;
    this.down = down;
    this.startedMs = startedMs;
    this.totalMs = snapshot.timeouts.totalMs;
    this.progressMs = startedMs;
    this.closing = closing;
  }

  /** The bytes of the body and nothing behind them. */
  bodyView(): Buffer | null {
    const { body, bodyBytes } = this;
    return body === null || body.length === bodyBytes ? body : body.subarray(0, bodyBytes);
  }

  /** Enters a phase; its deadline counts from `atMs`. */
  enter(phase: number, atMs: number): void {
    this.phase = phase;
    this.progressMs = atMs;
  }

  /** Enters a phase of its attempt; while the body is still coming, the deadline is the body's. */
  enterAttempt(phase: number, atMs: number): void {
    this.attemptPhase = phase;
    if (!this.bodyPending) this.enter(phase, atMs);
  }

  /** The next try is at `choice`. */
  move(choice: Choice, tried: number): void {
    this.choice = choice;
    this.chain = NO_CHAIN;
    this.target = choice.target;
    this.tried = tried;
  }

  /** Stops with `error`, whose message has `detail` for its `%`. */
  fail(error: ErrorRow, detail: string): ErrorRow {
    this.detail = detail;
    return error;
  }
}
