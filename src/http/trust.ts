/** Whom a listener takes a PROXY header from. Gateway worker. */
import { BlockList, isIPv6 } from "node:net";
import type { TrustedPeer } from "../config/listener.ts";

export class Trust {
  readonly #networks = new BlockList();
  readonly #unix: boolean;

  constructor(peers: readonly TrustedPeer[]) {
    this.#unix = peers.includes("unix");
    for (const peer of peers) {
      if (peer !== "unix") this.#networks.addSubnet(peer.address, peer.prefix, isIPv6(peer.address) ? "ipv6" : "ipv4");
    }
  }

  /** Undefined: of a unix socket. */
  has(address: string | undefined): boolean {
    if (address === undefined) return this.#unix;
    // BlockList finds an IPv4 network for an IPv4-mapped address, too.
    return this.#networks.check(address, isIPv6(address) ? "ipv6" : "ipv4");
  }
}
