/** Where applications connect: types of plain data, which workers get over IPC with the rest of the configuration. */

/** A host and port; workers share them with SO_REUSEPORT. */
export interface TcpPlace {
  readonly kind: "tcp";
  readonly host: string;
  readonly port: number;
}

/** A socket in the file system; the supervisor makes it, and workers take connections from it together. */
export interface UnixPlace {
  readonly kind: "unix";
  /** Absolute. */
  readonly path: string;
  readonly mode: number;
  /** Null: that of the process. */
  readonly groupId: number | null;
}

/** PEM texts: never log or print a value of this type. */
export interface Certified {
  /** The server's own, and intermediate ones behind it. */
  readonly certificates: string;
  readonly key: string;
}

export interface NamedCertificate extends Certified {
  /** Lower-case host names, also with "*" as their first label; none stands twice in a listener. */
  readonly names: readonly string[];
}

/** Its own certificate is for clients that ask for no name, or for one that is not among `named`. */
export interface Tls extends Certified {
  readonly named: readonly NamedCertificate[];
  /** Authorities one of which signed the certificate of every client; null: clients need none. */
  readonly clientAuthorities: string | null;
}

/** `unix`: the peers of a unix socket, which have no address. */
export type TrustedPeer = { readonly address: string; readonly prefix: number } | "unix";

export interface Listener {
  readonly place: TcpPlace | UnixPlace;
  readonly tls: Tls | null;
  /** Peers that begin every connection with a PROXY header, and nobody else may connect; null: there is no such header. */
  readonly proxies: readonly TrustedPeer[] | null;
}

/** Unix listeners are descriptors of a worker from this one on, in the order of the configuration. */
export const UNIX_DESCRIPTOR_FIRST = 5;

/** As in the file: 127.0.0.1:8081, [::1]:8081 or unix:/run/sluice/sluice.sock. */
export function placeText(place: TcpPlace | UnixPlace): string {
  if (place.kind === "unix") return `unix:${place.path}`;
  return `${place.host.includes(":") ? `[${place.host}]` : place.host}:${place.port}`;
}

/** The same with what is special about it, for people. */
export function listenerText({ place, tls, proxies }: Listener): string {
  const certified = tls?.clientAuthorities != null ? " TLS, clients with certificates" : " TLS";
  return `${placeText(place)}${tls === null ? "" : certified}${proxies === null ? "" : " PROXY protocol"}`;
}
