/**
 * A client's connection that a front lets pass, joined to the app: bytes go both ways, each side waits for the other one, and
 * the end of one is the end of both. Gateway worker.
 */
import { connect, type Socket } from "node:net";
import type { Callers } from "./callers.ts";
import { proxyHeaderFor } from "./proxy-header.ts";

/** How long a client may take to read the rest when its side is over, milliseconds. */
export const LINGER_MS = 2_000;

export interface Joint {
  readonly client: Socket;
  /** Of the client, read already. */
  readonly first: Buffer;
  readonly appName: string;
  readonly callers: Callers;
  /** Of the client, in network order. */
  readonly address: Uint8Array;
  /** The app could not be reached. */
  readonly onExhausted: (code: string) => void;
}

export function join({ client, first, appName, callers, address, onExhausted }: Joint): void {
  const secret = callers.add(address);
  const app = connect({ path: `\0${appName}` });
  app.write(Buffer.concat([proxyHeaderFor(secret), first]));
  app.on("error", (error: NodeJS.ErrnoException) => {
    if (error.syscall === "connect") onExhausted(error.code ?? "");
    client.destroy();
  });
  app.on("close", () => {
    callers.remove(secret);
    // It was told the end by the pipe; this is for one that does not answer it.
    client.setTimeout(LINGER_MS, () => client.destroy());
  });
  client.on("close", () => app.destroy());
  client.pipe(app);
  app.pipe(client);
}
