/** A client made of one raw socket: sends any bytes, and sees every byte and the way the connection ends. */
import { once } from "node:events";
import { connect, type NetConnectOpts, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { parseResponse, type RawResponse } from "./raw-response.ts";
import { DEADLINE_MS, until, within } from "./until.ts";

export class RawClient {
  readonly socket: Socket;
  /** Resolves when the connection is gone, by whichever side. */
  readonly closed: Promise<void>;
  /** Whether the other side sent its FIN. */
  ended = false;
  private isClosed = false;
  private received: Buffer[] = [];
  /** Wakes the one who waits for bytes or the end. */
  private wake: () => void = () => undefined;

  /** `socket`: still connecting, or connected a moment ago. */
  constructor(socket: Socket) {
    this.socket = socket;
    this.socket.on("data", (bytes: Buffer) => this.receive(bytes));
    this.socket.on("error", () => this.socket.destroy());
    this.socket.on("end", () => this.finish());
    this.closed = new Promise((resolve) => this.socket.once("close", () => resolve()));
    this.socket.once("close", () => {
      this.isClosed = true;
      this.wake();
    });
  }

  private receive(bytes: Buffer): void {
    this.received.push(bytes);
    this.wake();
  }

  private finish(): void {
    this.ended = true;
    this.socket.end();
    this.wake();
  }

  static async connect(port: number): Promise<RawClient> {
    return RawClient.reach({ port, host: "127.0.0.1" });
  }

  /** Of a unix socket. */
  static async connectPath(path: string): Promise<RawClient> {
    return RawClient.reach({ path });
  }

  private static async reach(place: NetConnectOpts): Promise<RawClient> {
    const client = new RawClient(connect({ ...place, noDelay: true, allowHalfOpen: true }));
    await within("a connection", once(client.socket, "connect"));
    return client;
  }

  /** Over TLS; rejects when the handshake fails. TLS 1.3 tells a client that its certificate is refused only after that. */
  static async connectTls(port: number, options: ConnectionOptions): Promise<RawClient> {
    const socket = connectTls({ port, host: "127.0.0.1", servername: "localhost", ...options });
    await within("a handshake", once(socket, "secureConnect"));
    return new RawClient(socket);
  }

  /** Sends bytes; resolves when the kernel took them. */
  async send(bytes: Buffer | string): Promise<void> {
    if (this.socket.destroyed) return;
    await new Promise<void>((resolve) => this.socket.write(bytes, () => resolve()));
  }

  /** The next response; null: the connection closed without one. */
  async response(bodyless = false): Promise<RawResponse | null> {
    for (;;) {
      const taken = this.take(bodyless);
      if (taken !== undefined) return taken.response;
      await within("a response or the end of the connection", this.news());
    }
  }

  /** Resolves at the next bytes, or the end. */
  private news(): Promise<void> {
    return new Promise((resolve) => {
      this.wake = resolve;
    });
  }

  /** Sends a request and gives its response; fails when there is none. */
  async ask(bytes: Buffer | string, bodyless = false): Promise<RawResponse> {
    await this.send(bytes);
    const response = await this.response(bodyless);
    if (response === null) throw new Error("the connection closed without an answer");
    return response;
  }

  /** Waits until the bytes that arrived contain `text`. */
  async sees(text: string): Promise<void> {
    await until(`the client sees ${JSON.stringify(text)}`, () => this.bytes().includes(text));
  }

  /** What arrived and was not taken as a response. */
  bytes(): Buffer {
    const all = Buffer.concat(this.received);
    this.received = [all];
    return all;
  }

  /** Waits for the end of the connection. */
  async close(deadlineMs = DEADLINE_MS): Promise<void> {
    await within("the end of the connection", this.closed, deadlineMs);
  }

  /** Leaves without a word. */
  leave(): void {
    this.socket.destroy();
  }

  private take(bodyless: boolean): { response: RawResponse | null } | undefined {
    const closed = this.isClosed || this.ended;
    const bytes = this.bytes();
    const parsed = parseResponse(bytes, bodyless, closed);
    if (parsed === null) return closed ? { response: null } : undefined;
    this.received = [bytes.subarray(parsed[1])];
    return { response: parsed[0] };
  }
}
