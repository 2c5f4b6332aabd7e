/** A server for tests of the load generator: reads whole requests, and answers with whatever bytes a test wants. */
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";

export interface Heard {
  readonly socket: Socket;
  /** Of the whole server, from 0. */
  readonly number: number;
  /** On this connection, from 0. */
  readonly onConnection: number;
  readonly head: string;
  readonly body: Buffer;
}

const HEAD_END = "\r\n\r\n";

export class Liar {
  /** Connections so far, and those that are open. */
  accepted = 0;
  readonly open = new Set<Socket>();
  requests = 0;
  private readonly server: Server;
  private readonly answer: (heard: Heard) => void;

  private constructor(answer: (heard: Heard) => void) {
    this.answer = answer;
    this.server = createServer({ noDelay: true }, (socket) => this.accept(socket));
  }

  static async start(answer: (heard: Heard) => void): Promise<Liar> {
    const liar = new Liar(answer);
    liar.server.listen(0, "127.0.0.1");
    await once(liar.server, "listening");
    return liar;
  }

  /** Answers every request with the same bytes. */
  static saying(bytes: string): Promise<Liar> {
    return Liar.start(({ socket }) => void socket.write(bytes));
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  private accept(socket: Socket): void {
    this.accepted += 1;
    this.open.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => this.open.delete(socket));
    let held = Buffer.alloc(0);
    let onConnection = 0;
    socket.on("data", (data: Buffer) => {
      held = Buffer.concat([held, data]);
      for (let end = endOf(held); end !== null; end = endOf(held)) {
        const head = held.toString("latin1", 0, held.indexOf(HEAD_END));
        const body = held.subarray(head.length + HEAD_END.length, end);
        held = held.subarray(end);
        this.answer({ socket, number: this.requests, onConnection, head, body });
        this.requests += 1;
        onConnection += 1;
      }
    });
  }

  async stop(): Promise<void> {
    for (const socket of this.open) socket.destroy();
    this.server.close();
    await once(this.server, "close");
  }
}

/** Where the first request in `bytes` ends; null when it is not whole. */
function endOf(bytes: Buffer): number | null {
  const head = bytes.indexOf(HEAD_END);
  if (head < 0) return null;
  const length = /content-length: (\d+)/i.exec(bytes.toString("latin1", 0, head))?.[1] ?? "0";
  const end = head + HEAD_END.length + Number(length);
  return bytes.length < end ? null : end;
}

/** An answer with a content-length. */
export function whole(body: string, status = "200 OK", headers = ""): string {
  return `HTTP/1.1 ${status}\r\n${headers}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

/** A chunked answer with one chunk per part. */
export function chunked(...parts: readonly string[]): string {
  const chunks = parts.map((part) => `${Buffer.byteLength(part).toString(16)}\r\n${part}\r\n`);
  return `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunks.join("")}0\r\n\r\n`;
}

/** A stream of so many content events, and the terminal one. */
export function events(count: number): string[] {
  const content = Array.from({ length: count }, (_, number) => `data: {"n":${number}}\n\n`);
  return [...content, "data: [DONE]\n\n"];
}
