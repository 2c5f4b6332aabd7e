/** A server over TCP or TLS that answers each request with the bytes that were planned for it, and checks what it was sent. */
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, TLSSocket, type TlsOptions } from "node:tls";

export interface Script {
  readonly pieces: readonly Uint8Array[];
  /** What becomes of the connection behind the last piece. */
  readonly then: "keep" | "end" | "reset";
  /** Answers before the body of the request has come, which it then does not read. */
  readonly early: boolean;
  readonly requestBody: Uint8Array;
}

const HEAD_END = "\r\n\r\n";

export class ScriptedServer {
  readonly scripts = new Map<number, Script>();
  /** What requests had in them that was not sent. */
  readonly faults: string[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(tls: TlsOptions | null) {
    const listener = (socket: Socket) => this.#serve(socket);
    this.#server = tls === null ? createServer(listener) : createTlsServer(tls, listener);
    this.#server.on("tlsClientError", () => undefined);
  }

  async listen(): Promise<void> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    let received: Buffer = Buffer.alloc(0);
    socket.on("data", (bytes: Buffer) => {
      received = this.#take(socket, Buffer.concat([received, bytes]));
    });
  }

  /** What is left of the bytes when the requests in them are answered. */
  #take(socket: Socket, received: Buffer): Buffer {
    const headEnd = received.indexOf(HEAD_END);
    if (headEnd < 0) return received;
    const path = /^\w+ \/(\d+) HTTP\/1\.1\r\n/.exec(received.toString("latin1", 0, headEnd))?.[1];
    const script = path === undefined ? undefined : this.scripts.get(Number(path));
    // The client has closed it at once.
    if (script === undefined) {
      socket.destroy();
      return Buffer.alloc(0);
    }
    const bodyEnd = headEnd + HEAD_END.length + script.requestBody.length;
    if (!script.early && received.length < bodyEnd) return received;
    if (script.early) socket.pause();
    else if (!received.subarray(headEnd + HEAD_END.length, bodyEnd).equals(script.requestBody))
      this.faults.push(`body of ${path}`);
    this.#answer(socket, script, 0);
    return script.early ? Buffer.alloc(0) : this.#take(socket, received.subarray(bodyEnd));
  }

  /** One piece per turn of the loop, so that they arrive apart. */
  #answer(socket: Socket, script: Script, at: number): void {
    const piece = script.pieces[at];
    if (piece !== undefined) {
      socket.write(piece, () => setImmediate(() => this.#answer(socket, script, at + 1)));
      return;
    }
    if (script.then === "end") socket.end();
    if (script.then === "reset") reset(socket);
  }
}

/** Without the end that TCP or TLS has for it. */
function reset(socket: Socket): void {
  if (socket instanceof TLSSocket) socket.destroy();
  else socket.resetAndDestroy();
}
