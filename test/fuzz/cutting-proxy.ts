/** Passes TCP connections on, their bytes cut at random places: records of TLS come in parts, and many of them together. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { setImmediate } from "node:timers/promises";
import type { Random } from "./random.ts";

const PIECE_BYTES = [1, 5, 100, 1_400, 16_500];

export class CuttingProxy {
  readonly #random: Random;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  /** `target`: the port of the server, once it listens. */
  constructor(random: Random, target: () => number) {
    this.#random = random;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
      const server = connect({ port: target(), host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
      this.#pass(client, server);
      this.#pass(server, client);
    });
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

  async #pass(from: Socket, to: Socket): Promise<void> {
    this.#sockets.add(from);
    from.on("close", () => this.#sockets.delete(from));
    // Not resetAndDestroy: behind an end(), it makes Node 22 wait for that socket for ever when the process ends.
    from.on("error", () => to.destroy());
    try {
      for await (const bytes of from) await this.#write(to, bytes);
      to.end();
    } catch {
      to.destroy();
    }
  }

  /** One piece per turn of the loop. */
  async #write(to: Socket, bytes: Buffer): Promise<void> {
    for (let at = 0; at < bytes.length && !to.destroyed; ) {
      const length = 1 + this.#random.below(this.#random.pick(PIECE_BYTES));
      to.write(bytes.subarray(at, at + length));
      at += length;
      await setImmediate();
    }
  }
}
