/**
 * The edge: a uWebSockets.js app for every listener. Gateway worker, main thread. TCP ports are shared by all workers
 * (SO_REUSEPORT), a unix socket is one of the supervisor's that all of them accept from; TLS and the PROXY protocol have a
 * Front before the app. Turns requests into exchanges for a RequestHandler and knows nothing of what is done with them.
 */
import { closeSync } from "node:fs";
import { nowMs } from "../base/clock.ts";
import { CodedError, ERRORS } from "../base/errors.ts";
import { BACKLOG_MAX } from "../base/limits.ts";
import { type Listener, placeText, UNIX_DESCRIPTOR_FIRST } from "../config/listener.ts";
import { native } from "../native/native.ts";
import type { RequestHandler } from "../pipeline/exchange.ts";
import { Callers } from "./callers.ts";
import { ClientStream } from "./client-stream.ts";
import { Front } from "./front.ts";
import type { Refusals } from "./refusals.ts";
import { takeBody } from "./request-body.ts";
import { readHead, rememberKey } from "./request-head.ts";
import { Shed } from "./shed.ts";
import {
  closeListenSocket,
  type ListenSocket,
  newApp,
  portOf,
  type UwsApp,
  type UwsRequest,
  type UwsResponse,
} from "./uws.ts";

const LOOPBACK = "127.0.0.1";

/** One listener as this worker serves it. */
interface Entrance {
  readonly app: UwsApp;
  readonly socket: ListenSocket;
  /** Null: clients are at the app itself. */
  readonly front: Front | null;
}

export class Edge {
  readonly #handler: RequestHandler;
  readonly #refusals: Refusals;
  readonly #shed: Shed;
  #entrances: Entrance[] = [];
  #listening = true;

  /** `refusals`: of connections that come to no request. */
  constructor(handler: RequestHandler, refusals: Refusals) {
    this.#handler = handler;
    this.#refusals = refusals;
    this.#shed = new Shed(handler);
  }

  /** Unix listeners are descriptors of this process. Rejects with CodedError `listen_failed`. */
  async listen(listeners: readonly Listener[]): Promise<void> {
    let descriptor = UNIX_DESCRIPTOR_FIRST;
    for (const listener of listeners) {
      const inherited = listener.place.kind === "unix" ? descriptor++ : null;
      const plain = listener.tls === null && listener.proxies === null;
      this.#entrances.push(
        plain ? await this.#openPlain(listener, inherited) : await this.#openFront(listener, inherited),
      );
    }
  }

  /** The same listeners with other certificates or proxies. */
  configure(listeners: readonly Listener[]): void {
    for (const [index, listener] of listeners.entries()) this.#entrances[index]?.front?.configure(listener);
  }

  /** Looks at what waits at the fronts; every SWEEP_INTERVAL_MS. */
  sweep(): void {
    const atMs = nowMs();
    for (const { front } of this.#entrances) front?.sweep(atMs);
  }

  /**
   * For one whose successor listens on the same ports: what is in the queues is accepted still, and what begins now finds the
   * successor, once stopListening() was called. Without this the kernel resets what waits in the queue of a socket that closes.
   */
  passOn(): void {
    native.refuseSyns();
  }

  /** Accepts no new connections; those that are open go on. */
  stopListening(): void {
    if (!this.#listening) return;
    this.#listening = false;
    for (const { front, socket } of this.#entrances) {
      if (front === null) closeListenSocket(socket);
      else front.stopListening();
    }
  }

  /** Closes every connection. After this the process can end without an abort. */
  close(): void {
    this.stopListening();
    this.#shed.end();
    for (const { front, app } of this.#entrances) {
      front?.close();
      // Its listening socket, too.
      app.close();
    }
    this.#entrances = [];
  }

  async #openPlain({ place }: Listener, inherited: number | null): Promise<Entrance> {
    const app = newApp();
    app.any("/*", (response, request) => this.#onRequest(response, request, null));
    if (place.kind === "tcp") return { app, socket: await listenTcp(app, place.host, place.port), front: null };
    const socket = await listenTcp(app, LOOPBACK, 0, inherited);
    return { app, socket, front: null };
  }

  async #openFront(listener: Listener, inherited: number | null): Promise<Entrance> {
    const callers = new Callers();
    const app = newApp();
    app.any("/*", (response, request) => {
      const address = callers.addressOf(response.getProxiedRemoteAddress());
      if (address !== undefined) {
        this.#onRequest(response, request, address);
        return;
      }
      this.#refusals.note(placeText(listener.place), "proxy_header", "");
      response.close();
    });
    const own = native.bindUnix("");
    const name = native.abstractName(own);
    native.listenOn(own, BACKLOG_MAX);
    const socket = await listenTcp(app, LOOPBACK, 0, own);
    const front = new Front({ listener, appName: name, callers, refusals: this.#refusals });
    await front.listen(inherited);
    return { app, socket, front };
  }

  /** `address`: of the client, in network order; null: the connection's own. */
  #onRequest(response: UwsResponse, request: UwsRequest, address: Uint8Array | null): void {
    const startedMs = nowMs();
    const stream = new ClientStream(response, this.#handler);
    const refused = this.#handler.refuses(startedMs);
    if (refused && this.#shed.answer(stream, response, request, address === null)) return;
    const exchange = this.#handler.open(stream, startedMs);
    stream.attach(exchange, address);
    const verdict = readHead(request, exchange);
    const wanted = this.#handler.onHead(exchange, verdict ?? (refused ? ERRORS.overloaded : null));
    if (exchange.keyNumber < 0 && exchange.key !== null) rememberKey(exchange.key.number);
    if (!wanted) {
      if (stream.lingering) response.onData((chunk, isLast) => stream.discard(chunk.byteLength, isLast));
      return;
    }
    if (exchange.contentLength === 0) {
      this.#handler.onBody(exchange);
      return;
    }
    response.onData((chunk, isLast) => takeBody(exchange, stream, this.#handler, chunk, isLast));
  }
}

/**
 * `instead`: a listening socket that takes the place of the app's own, which it never made known, and is closed here. Still
 * in the callback: the loop must not turn between.
 */
function listenTcp(app: UwsApp, host: string, port: number, instead: number | null = null): Promise<ListenSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<ListenSocket>();
  app.listen(host, port, (socket) => {
    if (socket === false) {
      const place = placeText({ kind: "tcp", host, port });
      reject(new CodedError("listen_failed", `cannot listen on ${place}: is the address in use or not ours?`));
      return;
    }
    if (instead !== null) {
      native.replaceListener(portOf(socket), instead);
      closeSync(instead);
    }
    resolve(socket);
  });
  return promise;
}
