/**
 * What Origin keeps of a connection, whatever makes it: native-connection.ts or undici-connection.ts. Gateway worker.
 */
export abstract class Connection {
  /** Attempts that it carries now. Kept by Origin. */
  attempts = 0;
  /** Attempts that it can carry at a time: 1 until it is made, and ever in HTTP/1.1. Kept by Origin. */
  places = 1;
  /** How long it may be free: what the provider says. */
  keepAliveMs = Infinity;
  /** Kept by Origin, at the sweep's resolution: until when it may be free. */
  idleUntilMs = 0;
  /** It is ended, or broken: Origin does not count it any more. */
  gone = false;
  /** It is made, TLS included. */
  connected = false;
  /** Requests that were begun on it. */
  requests = 0;

  /** It goes where the provider is not any more, as far as is known: it ends as soon as nothing is on it. */
  abstract isOutdated(): boolean;

  /** Ends it at once. Every request on it has been told before, or is told an error now. */
  abstract close(): void;
}
