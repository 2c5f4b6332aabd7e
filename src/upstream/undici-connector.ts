/**
 * How the undici transport connects: TCP or TLS to the provider, or through an HTTP proxy by CONNECT. Gateway worker; one
 * per origin, so that its connections resume each other's TLS sessions. There is no deadline in here: whoever waits too
 * long calls destroy().
 */
import { createSecureContext, type SecureContext } from "node:tls";
import { buildConnector, Client } from "undici";
import { CodedError } from "../base/errors.ts";
import type { ProviderTls } from "../config/snapshot.ts";
import { authorities } from "./authorities.ts";

/** A connection that is being made. */
export interface Connecting {
  destroy(): unknown;
}

export type Connector = (target: buildConnector.Options, done: buildConnector.Callback) => Connecting;

export interface ConnectorOptions {
  /** Null: plain HTTP. */
  readonly tls: ProviderTls | null;
  readonly http2: boolean;
  /** URL of an HTTP proxy; null: none. */
  readonly proxy: string | null;
  /** What it is sent as Proxy-Authorization; null: nothing. */
  readonly proxyAuthorization: string | null;
}

const OK = 200;

export function connectorOf({ tls, http2, proxy, proxyAuthorization }: ConnectorOptions): Connector {
  const endpoint = endpointConnector(tls, http2);
  if (proxy === null) return endpoint;
  // A plain request goes to the proxy as it is, with the whole URL as its target.
  return tls === null ? proxyConnector(proxy) : tunnel(proxy, proxyAuthorization, endpoint);
}

/** Parsing the authorities takes milliseconds, so there is one context per origin. */
function endpointConnector(tls: ProviderTls | null, http2: boolean): Connector {
  const secureContext = tls === null ? undefined : secureContextOf(tls);
  const connect = buildConnector({
    timeout: 0,
    allowH2: http2,
    preferH2: http2,
    autoSelectFamily: true,
    secureContext,
  });
  const serverName = tls?.serverName ?? null;
  return (target, done) => begun(connect(serverName === null ? target : { ...target, servername: serverName }, done));
}

function secureContextOf({ ca, client }: ProviderTls): SecureContext {
  return createSecureContext({ ca: authorities(ca), cert: client?.certificates, key: client?.key });
}

/** To the proxy itself. */
function proxyConnector(proxy: string): Connector {
  const secureContext = proxy.startsWith("https:") ? createSecureContext({ ca: authorities(null) }) : undefined;
  const connect = buildConnector({ timeout: 0, allowH2: false, autoSelectFamily: true, secureContext });
  const { hostname } = new URL(proxy);
  return (target, done) => begun(connect({ ...target, servername: hostname }, done));
}

/** buildConnector returns its socket, which its type does not say. */
function begun(socket: unknown): Connecting {
  return socket as Connecting;
}

function tunnel(proxy: string, authorization: string | null, endpoint: Connector): Connector {
  const toProxy = proxyConnector(proxy);
  const headers = authorization === null ? {} : { "proxy-authorization": authorization };
  return (target, done) => new Tunnel(proxy, toProxy, endpoint).open(target, headers, done);
}

/** One tunnel on its way: the connection to the proxy, CONNECT (RFC 9110 9.3.6), and the handshake with the provider. */
class Tunnel implements Connecting {
  readonly #client: Client;
  readonly #endpoint: Connector;
  #connecting: Connecting | null = null;
  #destroyed = false;

  constructor(proxy: string, toProxy: Connector, endpoint: Connector) {
    this.#endpoint = endpoint;
    this.#client = new Client(proxy, {
      headersTimeout: 0,
      connect: (target, done) => {
        this.#connecting = toProxy(target, done);
      },
    });
  }

  open(target: buildConnector.Options, headers: Record<string, string>, done: buildConnector.Callback): this {
    const authority = `${target.hostname}:${target.port === "" ? "443" : target.port}`;
    this.#client
      .connect({ path: authority, headers: { host: authority, ...headers } })
      .then(({ socket, statusCode }) => {
        if (this.#destroyed || statusCode !== OK) {
          socket.on("error", () => socket.destroy()).destroy();
          done(new CodedError("PROXY_REFUSED", `the proxy answered CONNECT with status ${statusCode}`), null);
          return;
        }
        // An HTTP/1.1 socket, whatever undici's type says of its stream.
        const httpSocket = socket as NonNullable<buildConnector.Options["httpSocket"]>;
        this.#connecting = this.#endpoint({ ...target, httpSocket }, done);
      })
      .catch((cause: unknown) => done(proxyFailure(cause), null));
    return this;
  }

  destroy(): void {
    this.#destroyed = true;
    void this.#client.destroy();
    this.#connecting?.destroy();
  }
}

/** Under a code of ours: a client takes some of undici's for the end of a connection that was made, and tries for ever. */
function proxyFailure(cause: unknown): CodedError {
  return new CodedError("PROXY_FAILED", `the proxy: ${cause instanceof Error ? cause.message : ""}`, cause);
}
