/**
 * Why a connection ends before there is a request on it: the labels of sluice_connections_refused_total, in the order of
 * their counters. New ones are added at the end.
 */
export const REFUSALS = [
  /** PROXY protocol: from somebody who is no trusted proxy. */
  "untrusted_peer",
  /** No PROXY header where there has to be one, or a malformed one. */
  "proxy_header",
  "proxy_header_timeout",
  /** No TLS, a version, cipher or protocol that is not ours, or a client that does not trust our certificate. */
  "tls_handshake",
  "tls_handshake_timeout",
  /** Missing, expired, or of another authority. */
  "client_certificate",
  "first_byte_timeout",
  /** More connections at a time than GREETINGS_MAX that have not said anything yet. */
  "connection_limit",
  /** The app could not be reached: the worker has no descriptor left. */
  "exhausted",
] as const;

export type Refusal = (typeof REFUSALS)[number];
