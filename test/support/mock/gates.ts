/** Gates: answers that wait until a test says go on, so that no test needs a sleep. Runs in the mock's process. */
import { EventEmitter, once } from "node:events";
import type { Socket } from "node:net";
import { event } from "./wire.ts";

export class Gates {
  private readonly opened = new Set<string>();
  private readonly events = new EventEmitter().setMaxListeners(0);

  /** Opens a gate for those who wait and those who come later. */
  open(name: string): void {
    this.opened.add(name);
    this.events.emit(name);
  }

  /** Waits for the gate; false: the connection closed before it opened. */
  async pass(name: string, socket: Socket): Promise<boolean> {
    if (!this.opened.has(name) && !socket.destroyed) {
      await Promise.race([once(this.events, name), event(socket, "close")]);
    }
    return !socket.destroyed;
  }
}
