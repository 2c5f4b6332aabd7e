/**
 * What Origin keeps of a connection, whatever makes it: native-connection.ts or undici-connection.ts. Gateway worker.
 */
export abstract class Connection {
  /** Attempts that it carries now. Kept by Origin. */
  attempts = 0;
  /** Attempts that it can carry at a time: 1 until it is made, and ever in HTTP/1.1. Kept by Origin. */
  places = 1;
  /** Kept by Origin, at the sweep's resolution: when it became free. */
  idleSinceMs = 0;
  /** It is ended, or broken: Origin does not count it any more. */
  gone = false;
  /** It is made, TLS included. */
  connected = false;
  /** Requests that were begun on it. */
  requests = 0;

  /** Ends it at once. Every request on it has been told before, or is told an error now. */
  abstract close(): void;
}
