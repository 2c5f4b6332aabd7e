/**
 * Typed binding of the C++ addon (built by `make -C src/native`). Loads in any process and thread. Every function is
 * synchronous and never throws on input: results are codes and numbers in caller-owned arrays. Wrong argument types are
 * programmer errors and throw.
 */
import { createRequire } from "node:module";
import type { UpstreamBinding } from "./upstream.ts";

export interface NativeAddon extends UpstreamBinding {
  /**
   * Maps `bytes` of the file at `path` shared and writable, creating or growing it (never shrinking). The mapping lives
   * until the ArrayBuffer is collected. Throws an Error with errno text when the file cannot be opened or mapped.
   */
  mapFile(path: string, bytes: number): ArrayBuffer;
  /**
   * Makes a file of `bytes` without a name, in memory only, which costs what is touched of it. The descriptor belongs to
   * the caller; a child gets it as an entry of its stdio. `name` is for /proc. Throws an Error with errno text.
   */
  memoryFile(name: string, bytes: number): number;
  /** Maps `bytes` of an open file from `offset` (of a page) on, like mapFile. Throws when the file is shorter than that. */
  mapDescriptor(descriptor: number, offset: number, bytes: number): ArrayBuffer;
  /**
   * Takes an exclusive flock on the file, creating it. The descriptor that holds it, until the process ends; -1: another
   * process does.
   */
  lockFile(path: string): number;

  /**
   * Runs another program in this process: pid, children and descriptors that are kept (below) stay, all else of ours is
   * gone. `environment`: NAME=value. Throws an Error with errno text when it cannot, and returns in no case.
   */
  replaceProcess(path: string, argv: readonly string[], environment: readonly string[]): void;
  /**
   * Blocks SIGTERM, SIGINT, SIGHUP and SIGUSR2 in all threads: those that come wait, also over replaceProcess(). Those that came
   * before reach their listeners in the next turns of the loop. False: some thread did not follow.
   */
  holdSignals(): boolean;
  /** Lets them arrive, those too that came while this program started, and ends the guard of its start (guard.cc). */
  releaseSignals(): void;
  /** Whether the descriptor stays open over replaceProcess(), and in children. False: it is not open. */
  keepDescriptor(descriptor: number, keep: boolean): boolean;
  /** For children that this process had before replaceProcess(); Node reaps its own. True: it has ended. */
  reapChild(pid: number): boolean;
  /**
   * This thread's loop no longer measures how long it is idle: performance.eventLoopUtilization() stands still, and waiting takes
   * one system call instead of two. False: it is not known how, and nothing has changed.
   */
  forgoIdleTime(): boolean;
  /** Gives memory back to the system that was freed and would be kept for later: what threads that ended had. All heaps but V8's. */
  trimMemory(): void;
  /**
   * Has `callback` called whenever all that was ready in this thread's loop has been served, until it returns false; first when that is so of
   * what is ready now. Meanwhile the loop does not wait. It does not keep the process alive.
   */
  eachTurn(callback: () => boolean): void;
  /** One datagram to a unix socket, a path or an abstract name behind an @, without waiting. False: it was not taken. */
  sendDatagram(path: string, text: string): boolean;

  /**
   * Binds a unix socket, which does not listen yet. Empty: to an abstract name that the kernel chooses. The descriptor
   * belongs to the caller. Throws an Error with errno text, like the next three.
   */
  bindUnix(path: string): number;
  listenOn(descriptor: number, backlog: number): void;
  /** Of a socket that was bound to one, without its NUL. */
  abstractName(descriptor: number): string;
  /**
   * Puts `descriptor` in the place of the IPv4 socket that listens on `port` in this process, whose queue is lost. For
   * uWebSockets.js, in the callback of its `listen`, before the loop turns.
   */
  replaceListener(port: number, descriptor: number): void;
  /**
   * Has every TCP socket that listens in this process drop what begins a connection: clients send it again after a second.
   * How many there are.
   */
  refuseSyns(): number;

  /** Scans a JSON request body; result codes and the layout of `scanned`, which it fills, are in providers/request-scan.ts. */
  scanRequest(body: Uint8Array, depthMax: number): number;
  /** The same without what only this CPU can do: tests compare the two. */
  scanRequestPortable(body: Uint8Array, depthMax: number): number;
  /** The same two, which look for what scanLookFor said as well. */
  scanLook(body: Uint8Array, depthMax: number): number;
  scanLookPortable(body: Uint8Array, depthMax: number): number;
  /** Fields of the outermost object, for scans of this thread that begin from now on. */
  scanLookFor(fields: readonly string[]): void;
  /**
   * Takes a scan of a body that comes in pieces; -1: `slotsMax` are taken. providers/request-scan-parts.ts says what the next
   * three do; `scanned` is of the scan that was called last.
   */
  scanOpen(portable: boolean, slotsMax: number, looks: boolean): number;
  scanMore(slot: number, body: Uint8Array, depthMax: number, last: boolean): number;
  scanShift(slot: number, delta: number): void;
  scanClose(slot: number): void;
  /** Such scans taken in this thread. */
  scansOpen(): number;
  /** Of the last scan in this thread. */
  readonly scanned: Int32Array;
  /** Whether scanRequest uses more of this CPU than scanRequestPortable. */
  readonly scanIsWide: boolean;

  /**
   * Reads the head of a request of uWebSockets.js, in its handler only; the lines that go on to the provider. The rest is in
   * `headFields` and headText() until the next one is read: http/request-head.ts. Only where isKnownUws().
   */
  readHead(request: object): string;
  /** The same of method, target, and name and value of each header: for tests. */
  readHeadList(list: readonly string[]): string;
  readonly headFields: Float64Array;
  headText(which: number): string;
  /** What method and path in `headFields` are indexes in, and how long a client's own request id may be. */
  headForm(methods: readonly string[], paths: readonly string[], requestIdBytesMax: number): void;
  /** The key of the head that was read last has this number from now on; native/key-tags.h says why no hash is needed. */
  rememberKey(number: number): void;
  forgetKeys(): void;
  /** SipHash-2-4-128 under a secret of 16 bytes, hexadecimal: for tests. */
  sipHash(secret: Uint8Array, text: Uint8Array): string;
  /**
   * Of a response of uWebSockets.js that was not begun: from now on `tryEnd` writes bytes as they are, the head of the answer among
   * them, and its total counts all. `closes`: the connection ends behind them. Only where isKnownUws(). Throws for any other response.
   */
  takeFraming(response: object, closes: boolean): void;
  /**
   * Until shedNoMore(), requests on connections of this response's app are answered before uWebSockets.js reads them, if they are POSTs in
   * their usual form that came with all of their body: with `beforeId`, the request's id or `ownId` and a number, and `afterId`. Only where
   * isKnownUws(). Throws for a response that ended.
   */
  shedAlso(response: object, beforeId: string, afterId: string, ownId: string): void;
  /** How many that were. */
  shedNoMore(): number;
  /** Bounds of such requests. */
  shedForm(headBytesMax: number, bodyBytesMax: number, requestIdBytesMax: number): void;
  /** Whether the uWebSockets.js that this process has loaded is one that readHead(), takeFraming() and shedAlso() know. */
  isKnownUws(): boolean;

  /**
   * Opens the map of limits for this thread, instead of an earlier one: shm/limits.ts. Making it, 0: it was there, 1: it was not, 2: there
   * is one of another layout; attaching, 0, or 2: it was not made. Throw an Error with errno text when that fails.
   */
  limitsPrepare(path: string): number;
  limitsAttach(path: string): number;
  limitsTakeSlot(slot: number, pid: number): void;
  limitsLeaveSlot(slot: number, pid: number): void;
  /** Limits by what they are known by, with the figures of each (native/limits-program.cc). */
  limitsConfigure(names: readonly string[], figures: Float64Array, leaseMs: number): void;
  /** `low` and `high`: bits of the limits that are only for subjects such as this one. */
  limitsSubject(part: number, name: string, low: number, high: number): number;
  limitsText(part: number, text: string): void;
  /** The request of limitsAdmit(), and its answer. */
  readonly limitFields: Float64Array;
  limitsAdmit(): void;
  /** Where limitsHead() writes from now on, for ever; what it says: of requests and then of tokens limit (-1: there is none), left, reset in ms. */
  limitsHeadInto(bytes: Uint8Array): Float64Array;
  /** Writes a head there, latin1, and behind it the lines that say where limits stand. Where they end. Throws where there is no room. */
  limitsHead(text: string, at: number): number;
  /** What limitsAdmit() would decide and answer, with nothing changed; fills `out` (321 numbers) with the limits that apply: native/limits.cc. */
  limitsPeek(out: Float64Array): number;
  /** The ticket and the amounts in `limitFields`. */
  limitsSettle(): void;
  limitsBook(): void;
  /** The request of `limitFields` goes to another target, with the target ticket in the place of the ticket. `parts`: bits of those that are others now. The decision. */
  limitsMove(parts: number): number;
  /** What was learned under a name, also before a restart; -1: nothing. */
  limitsLearned(name: string): number;
  limitsLearn(name: string, value: number): void;
  /** How many output tokens more are reserved, `needed` to `wanted`; 0: none. `costNanodollars`: of those wanted. */
  limitsExtend(ticket: number, targetTicket: number, needed: number, wanted: number, costNanodollars: number): number;
  /** Thresholds of budgets that the last call of either was the first to reach: 4 times the limit, plus the threshold; -1: no more. */
  limitsAlert(index: number): number;
  /** When periods of budgets begin and end, three numbers for each limit. */
  limitsPeriods(bounds: Float64Array): void;
  /** Of the subjects in limitFields: what is used of a budget, and how much of that is over. False: it does not count these. */
  limitsSpent(index: number, out: Float64Array): boolean;
  /** Raises that to `least`. False: it does not count these, or there is no room. */
  limitsRaise(index: number, least: number): boolean;
  /** Milliseconds since 1970 by limits' own clock. */
  limitsNow(): number;
  /** Takes steps of the wall clock and looks at deadlines: now and then. */
  limitsTick(): void;
  /** Fills `out` (4 or more): what a limit refused, would have refused, and found no room for, and alerts. */
  limitsTally(index: number, out: Float64Array): void;
  /** Fills `out` (4 or more): locks recovered, buckets reclaimed, claims without a place, leases expired. */
  limitsState(out: Float64Array): void;
  /** For tests: limits' time stands at this, wall-clock milliseconds, or runs (below 0). */
  limitsHoldTime(ms: number): void;
  /** For tests: takes the lock and keeps it. */
  limitsHoldLock(): void;

  /** Takes a response scanner; `events`: server-sent events, else one JSON document. -1: `slotsMax` are taken. */
  responseOpen(events: boolean, slotsMax: number): number;
  /** Feeds the next bytes; returns flags, fills event borders and the clock (`out`, 5 or more): providers/response-scan.ts. */
  responseFeed(slot: number, chunk: Uint8Array, out: Int32Array): number;
  /** Fills `out` (6 or more) with the figures found so far: providers/response-scan.ts. */
  responseUsage(slot: number, out: Float64Array): void;
  responseClose(slot: number): void;
  /** Scanners taken in this thread: 0 when nothing is in flight. */
  responsesOpen(): number;
}

const load = createRequire(import.meta.url);

/** The file of the addon: of this program without types, in lib/, too. */
export const ADDON_FILE = load.resolve("../../src/native/build/sluice.node");

export const native: NativeAddon = load(ADDON_FILE);
