/**
 * A provider whose streams go on in turns: the next piece is written when the client has the one before, so a read of the gateway has one piece,
 * whatever else the machine does. Each stream is named by the request's header `x-stream`.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

const HEAD = { "content-type": "text/event-stream" };

export class TurnProvider {
  readonly #server: Server;
  readonly #streams = new Map<string, ServerResponse>();
  readonly #piece: string;
  readonly #bodies = new Map<string, string>();
  /** Streams that the gateway ended. */
  readonly cancelled = new Set<string>();

  private constructor(piece: string) {
    this.#piece = piece;
    this.#server = createServer((request, response) => this.#serve(request, response));
  }

  /** `piece`: what is written at a time, whole events. */
  static async start(piece: string): Promise<TurnProvider> {
    const provider = new TurnProvider(piece);
    await new Promise<void>((resolve) => provider.#server.listen(0, "127.0.0.1", resolve));
    return provider;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1`;
  }

  bodyOf(stream: string): string {
    return this.#bodies.get(stream) ?? "";
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const stream = String(request.headers["x-stream"]);
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      this.#bodies.set(stream, Buffer.concat(parts).toString());
      this.#streams.set(stream, response);
      response.writeHead(200, HEAD);
      this.turn(stream);
    });
    response.on("close", () => {
      if (!response.writableEnded) this.cancelled.add(stream);
    });
  }

  /** The next piece of a stream; `last`: instead of it, and then the end. */
  turn(stream: string, last: string | null = null): void {
    const response = this.#streams.get(stream);
    if (last === null) response?.write(this.#piece);
    else response?.end(last);
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}
