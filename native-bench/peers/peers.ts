/**
 * All peers by name, and how `--peers` names them. A call has the peer installed when it is not in the cache yet, and throws
 * Unavailable where it cannot be had.
 */
import { closest, distance } from "fastest-levenshtein";
import { CodedError } from "../../src/base/errors.ts";
import type { Contestant } from "../contestant.ts";
import { Nginx } from "../contestants/nginx.ts";
import { bifrost } from "./bifrost.ts";
import { ferro } from "./ferro.ts";
import { gomodel } from "./gomodel.ts";
import { haproxy } from "./haproxy.ts";
import { litellm } from "./litellm.ts";
import { portkey } from "./portkey.ts";
import { Unavailable } from "./unavailable.ts";

/** `signal` ends an installation. */
export type PeerFactory = (cacheDirectory: string, signal: AbortSignal) => Promise<Contestant>;

export const PEERS: Readonly<Record<string, PeerFactory>> = {
  nginx,
  haproxy,
  portkey,
  litellm,
  ferro,
  gomodel,
  bifrost,
};

/** A suggestion farther off than this is none. */
const TYPING_ERRORS_MAX = 3;

export interface NamedPeer {
  readonly name: string;
  readonly make: PeerFactory;
}

/** `list`: names with commas between them. Each once, in that order. */
export function peersNamed(list: string): NamedPeer[] {
  const names = list.split(",").map((name) => name.trim().toLowerCase());
  return [...new Set(names.filter(Boolean))].map(namedPeer);
}

function namedPeer(name: string): NamedPeer {
  const make = Object.hasOwn(PEERS, name) ? PEERS[name] : undefined;
  if (make === undefined) throw new CodedError("unknown_peer", `no peer "${name}"${suggestion(name)}`);
  return { name, make };
}

function suggestion(name: string): string {
  const all = Object.keys(PEERS);
  const nearest = closest(name, all);
  return distance(name, nearest) <= TYPING_ERRORS_MAX
    ? `; did you mean "${nearest}"?`
    : `; there are ${all.join(", ")}`;
}

async function nginx(): Promise<Contestant> {
  const missing = Nginx.missing();
  if (missing !== null) throw new Unavailable("nginx", missing);
  return new Nginx();
}
