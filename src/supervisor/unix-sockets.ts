/**
 * The unix sockets of the configuration. Supervisor. It makes them and never accepts: workers inherit the descriptors and
 * take connections from one queue, which stays when a worker dies. A socket appears at its path with its mode and group
 * already set, in one step, in the place of an older one that nobody serves.
 */
import { chmodSync, chownSync, closeSync, lstatSync, renameSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { nowMs } from "../base/clock.ts";
import { CodedError } from "../base/errors.ts";
import { BACKLOG_MAX } from "../base/limits.ts";
import type { Listener, UnixPlace } from "../config/listener.ts";
import { native } from "../native/native.ts";

/** For the workers of a supervisor that was killed a moment ago, milliseconds. */
const PATIENCE_MS = 2_000;
const PAUSE_MS = 50;

interface OpenSocket {
  readonly path: string;
  readonly descriptor: number;
  /** Of the file: it may be somebody else's by the time we go. */
  readonly inode: number;
}

export class UnixSockets {
  #sockets: OpenSocket[] = [];

  /** Rejects with CodedError `socket_unusable`. */
  static async open(listeners: readonly Listener[]): Promise<UnixSockets> {
    const sockets = new UnixSockets();
    for (const { place } of listeners) {
      if (place.kind !== "unix") continue;
      await requireUnserved(place.path);
      sockets.#add(place);
    }
    return sockets;
  }

  /** For workers, in the order of the configuration. */
  get descriptors(): readonly number[] {
    return this.#sockets.map(({ descriptor }) => descriptor);
  }

  /** Nobody can connect once the workers have closed theirs as well. */
  close(): void {
    for (const { path, descriptor, inode } of this.#sockets) {
      closeSync(descriptor);
      if (lstatSync(path, { throwIfNoEntry: false })?.ino === inode) rmSync(path, { force: true });
    }
    this.#sockets = [];
  }

  #add(place: UnixPlace): void {
    const { path } = place;
    const unfinished = `${path}.new`;
    try {
      rmSync(unfinished, { force: true });
      const descriptor = native.bindUnix(unfinished);
      chmodSync(unfinished, place.mode);
      if (place.groupId !== null) chownSync(unfinished, -1, place.groupId);
      native.listenOn(descriptor, BACKLOG_MAX);
      const { ino: inode } = lstatSync(unfinished);
      renameSync(unfinished, path);
      this.#sockets.push({ path, descriptor, inode });
    } catch (cause) {
      rmSync(unfinished, { force: true });
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new CodedError("socket_unusable", `Cannot make the socket ${path} (setting 'listen'): ${reason}.`, cause);
    }
  }
}

async function requireUnserved(path: string): Promise<void> {
  const deadlineMs = nowMs() + PATIENCE_MS;
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found !== undefined && !found.isSocket())
    throw new CodedError("socket_unusable", `${path} (setting 'listen') exists and is not a socket.`);
  while (await isServed(path)) {
    if (nowMs() >= deadlineMs)
      throw new CodedError("socket_unusable", `Another program serves the socket ${path} (setting 'listen').`);
    await sleep(PAUSE_MS);
  }
}

function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
