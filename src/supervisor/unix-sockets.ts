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

/** A socket that is open; also what the next program gets of it. */
export interface LeftSocket {
  readonly path: string;
  readonly descriptor: number;
  /** Of the file: it may be somebody else's by the time we go. */
  readonly inode: number;
}

export class UnixSockets {
  #sockets: LeftSocket[] = [];
  /** Of the program before this one, which the configuration has no more. */
  #former: LeftSocket[] = [];

  /** `former`: of the program before this one. Rejects with CodedError `socket_unusable`. */
  static async open(listeners: readonly Listener[], former: readonly LeftSocket[] = []): Promise<UnixSockets> {
    const sockets = new UnixSockets();
    for (const { place } of listeners) {
      if (place.kind !== "unix") continue;
      const known = former.find(({ path }) => path === place.path);
      if (known !== undefined) {
        sockets.#adopt(known, place);
        continue;
      }
      await requireUnserved(place.path);
      sockets.#add(place);
    }
    sockets.#former = former.filter((socket) => !sockets.#sockets.includes(socket));
    return sockets;
  }

  /** For the next program. */
  get left(): readonly LeftSocket[] {
    return [...this.#sockets, ...this.#former];
  }

  /** The workers that served them are told to finish. */
  releaseFormer(): void {
    for (const socket of this.#former) remove(socket);
    this.#former = [];
  }

  /** For workers, in the order of the configuration. */
  get descriptors(): readonly number[] {
    return this.#sockets.map(({ descriptor }) => descriptor);
  }

  /** Nobody can connect once the workers have closed theirs as well. */
  close(): void {
    for (const socket of this.left) remove(socket);
    this.#sockets = [];
    this.#former = [];
  }

  /** Connections that wait in it stay. */
  #adopt(socket: LeftSocket, { path, mode, groupId }: UnixPlace): void {
    this.#sockets.push(socket);
    if (lstatSync(path, { throwIfNoEntry: false })?.ino !== socket.inode) return;
    chmodSync(path, mode);
    if (groupId !== null) chownSync(path, -1, groupId);
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
      const reason = `Cannot make the socket ${path} (setting 'listen'): ${reasonOf(cause, place)}.`;
      throw new CodedError("socket_unusable", reason, cause);
    }
  }
}

function reasonOf(cause: unknown, { groupId }: UnixPlace): string {
  if (!(cause instanceof Error)) return String(cause);
  const { syscall, code } = cause as NodeJS.ErrnoException;
  if (syscall !== "chown" || code !== "EPERM") return cause.message;
  return `this user is not a member of group ${groupId}: SupplementaryGroups= in the unit, see systemd.exec(5)`;
}

function remove({ path, descriptor, inode }: LeftSocket): void {
  closeSync(descriptor);
  if (lstatSync(path, { throwIfNoEntry: false })?.ino === inode) rmSync(path, { force: true });
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
