/**
 * A client's connection that a front lets pass, joined to the app: bytes go both ways, each side waits for the other one, and
 * the end of one is the end of both. Gateway worker. What must stay true: neither socket outlives the other by more than
 * CLIENT_STALL_MS without a byte that moves; a client that only sends is no reason to wait.
 */
import { connect, type Socket } from "node:net";
import { CLIENT_STALL_MS } from "../base/limits.ts";
import type { Callers } from "./callers.ts";
import { proxyHeaderFor } from "./proxy-header.ts";

/** For a client to answer the end of its connection, milliseconds. */
const LINGER_MS = 2_000;
/** The app's queue is full: a turn or two of the loop empties it, unless there is no descriptor left. */
const RETRY_MS = 5;
const RETRIES_MAX = 200;

/** What the apps of all connections write into, one after the other: it is copied before the next one can. */
const SCRATCH = Buffer.allocUnsafeSlow(65_536);

export interface JointOptions {
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

/** Lives as long as its client. */
export class Joint {
  readonly #options: JointOptions;
  readonly #client: Socket;
  readonly #secret: Buffer;
  readonly #hello: Buffer;
  #app: Socket | null = null;
  #retries = 0;

  constructor(options: JointOptions) {
    const { client, callers, address, first } = options;
    this.#options = options;
    this.#client = client;
    this.#secret = callers.add(address);
    this.#hello = Buffer.concat([proxyHeaderFor(this.#secret), first]);
    client.on("close", () => this.#onClientClose());
    this.#reach();
  }

  #reach(): void {
    if (this.#client.destroyed) return;
    const app = connect({
      path: `\0${this.#options.appName}`,
      onread: { buffer: SCRATCH, callback: (bytes) => this.#toClient(bytes) },
    });
    this.#app = app;
    app.write(this.#hello);
    app.once("connect", () => this.#onReached(app));
    app.on("error", (error) => this.#onAppError(error));
  }

  #onReached(app: Socket): void {
    const client = this.#client;
    app.on("close", () => this.#onAppClose());
    app.on("drain", () => client.resume());
    client.on("drain", () => {
      // Else it has the rest of its answer before it, and its time runs.
      if (!app.destroyed) client.setTimeout(0);
      app.resume();
    });
    client.on("data", (chunk) => {
      if (!app.destroyed && !app.write(chunk)) client.pause();
    });
    client.on("end", () => app.end());
    client.on("timeout", () => client.destroy());
    client.on("finish", () => client.setTimeout(LINGER_MS));
    client.resume();
  }

  /** False: nothing more until the client has taken this. */
  #toClient(bytes: number): boolean {
    if (this.#client.write(Buffer.from(SCRATCH.subarray(0, bytes)))) return true;
    this.#client.setTimeout(CLIENT_STALL_MS);
    return false;
  }

  #onAppError(error: NodeJS.ErrnoException): void {
    if (error.syscall !== "connect") return;
    this.#retries += 1;
    if (error.code === "EAGAIN" && this.#retries <= RETRIES_MAX) {
      setTimeout(() => this.#reach(), RETRY_MS);
      return;
    }
    this.#options.onExhausted(error.code ?? "");
    this.#client.destroy();
  }

  /** The client gets what is on its way, and the end. */
  #onAppClose(): void {
    if (this.#client.writableLength > 0) this.#client.setTimeout(CLIENT_STALL_MS);
    this.#client.end();
  }

  #onClientClose(): void {
    this.#options.callers.remove(this.#secret);
    this.#app?.destroy();
  }
}
