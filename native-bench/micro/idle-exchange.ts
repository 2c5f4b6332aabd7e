/** An exchange for steps that are measured by themselves: nobody listens, and the snapshot has keys and nothing else. */
import type { Snapshot } from "../../src/config/snapshot.ts";
import { type Downstream, Exchange } from "../../src/pipeline/exchange.ts";

const DOWNSTREAM: Downstream = {
  closed: false,
  blocked: false,
  address: () => new Uint8Array(0),
  reply: () => undefined,
  begin: () => undefined,
  write: () => undefined,
  end: () => undefined,
  cut: () => undefined,
};
const TIMEOUTS = {
  connectMs: 1,
  firstByteMs: 1,
  idleMs: 1,
  totalMs: 1,
  queueMs: 1,
  stallMs: 1,
  drainMs: 1,
  upstreamKeepAliveMs: 1,
};
const BOUNDS = { bodyBytes: 1, bodyBytesInFlight: 1, jsonDepth: 1, connectionsPerProvider: 1, queuePerProvider: 1 };

/** With a snapshot that knows the keys of these hashes. */
export function idleExchange(hashes: readonly string[]): Exchange {
  const key = { name: "k", label: new Uint8Array(0), enabled: true, expiresAtMs: Infinity, models: null };
  const snapshot: Snapshot = {
    epoch: 1,
    keys: new Map(hashes.map((hash) => [hash, key])),
    routes: new Map(),
    anyModel: null,
    passthrough: null,
    prices: new Map(),
    timeouts: TIMEOUTS,
    bounds: BOUNDS,
    replayStale: true,
    loadedAtS: 0,
    recordAddress: false,
  };
  return new Exchange(snapshot, DOWNSTREAM, 0, false);
}
