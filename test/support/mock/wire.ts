/** Writes a plan to the socket, well or in part, with back-pressure. Runs in the mock provider's process. */
import type { Socket } from "node:net";
import { bodyOf, type HeaderList, type Plan } from "./plan.ts";

/** The response head as bytes; values are not validated, so that faults can be sent. */
export function headBytes(status: number, headers: HeaderList): Buffer {
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`HTTP/1.1 ${status} Mock\r\n${lines.join("")}\r\n`, "latin1");
}

/** The head with the framing header of the plan. */
export function planHead(plan: Plan): Buffer {
  return headBytes(plan.status, [...plan.headers, ...framing(plan)]);
}

function framing(plan: Plan): HeaderList {
  if (plan.framing === "chunked") return [["transfer-encoding", "chunked"]];
  if (plan.framing === "close") return [["connection", "close"]];
  return [["content-length", String(bodyOf(plan).length)]];
}

/** Resolves at the event; unlike events.once, an error of the socket is not a rejection: its close follows. */
export function event(socket: Socket, name: "close" | "drain"): Promise<void> {
  return new Promise((resolve) => socket.once(name, () => resolve()));
}

/** Writes and waits while the peer is behind; false: the connection is gone. */
export async function write(socket: Socket, bytes: Buffer): Promise<boolean> {
  if (socket.destroyed) return false;
  if (!socket.write(bytes)) await Promise.race([event(socket, "drain"), event(socket, "close")]);
  return !socket.destroyed;
}

/** Writes pieces in the plan's framing, without the end of the body. */
export async function writePieces(socket: Socket, plan: Plan, pieces: Iterable<Buffer>): Promise<boolean> {
  for (const piece of pieces) {
    const framed = plan.framing === "chunked" ? chunk(piece) : piece;
    if (!(await write(socket, framed))) return false;
  }
  return !socket.destroyed;
}

/** Ends the body: the last chunk, the connection, or nothing. */
export async function endBody(socket: Socket, plan: Plan): Promise<boolean> {
  if (plan.framing === "chunked") return write(socket, Buffer.from("0\r\n\r\n"));
  if (plan.framing === "close") socket.end();
  return true;
}

/** Sends everything as it should be. `bodyless`: the answer to HEAD. */
export async function sendWhole(socket: Socket, plan: Plan, bodyless: boolean): Promise<boolean> {
  if (!(await write(socket, planHead(plan)))) return false;
  if (bodyless || plan.status === 204 || plan.status === 304) return true;
  return (await writePieces(socket, plan, plan.pieces)) && endBody(socket, plan);
}

export function chunk(piece: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from("\r\n")]);
}
