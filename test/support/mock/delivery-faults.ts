/** Faults in the way an answer is sent: `x-mock: NAME[=ARG]`, at most one of them per request. Runs in the mock's process. */

import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { Gates } from "./gates.ts";
import { bodyOf, firstHalf, type Plan, secondHalf } from "./plan.ts";
import { chunk, endBody, event, headBytes, planHead, sendWhole, write, writePieces } from "./wire.ts";

/** Sends the plan over the socket; true: the answer is complete and the connection can take the next request. */
export type Delivery = (socket: Socket, plan: Plan, arg: string, gates: Gates) => Promise<boolean>;

export const DELIVERY_FAULTS: Readonly<Record<string, Delivery>> = {
  "reset-before-head": async (socket) => reset(socket),
  "close-before-head": async (socket) => close(socket),
  "close-in-head": async (socket) => (await write(socket, Buffer.from("HTTP/1.1 200 OK\r\ncontent-"))) && close(socket),
  garbage: async (socket) => (await write(socket, Buffer.from("SSH-2.0-OpenSSH_9.2p1 Debian\r\n"))) && close(socket),
  "bad-content-length": (socket, plan) => badHead(socket, plan, [["content-length", "12abc"]]),
  "two-content-lengths": (socket, plan) =>
    badHead(socket, plan, [
      ["content-length", "5"],
      ["content-length", "6"],
    ]),
  "length-and-chunked": (socket, plan) =>
    badHead(socket, plan, [
      ["content-length", "5"],
      ["transfer-encoding", "chunked"],
    ]),
  "bad-chunk": badChunk,
  "stall-before-head": (socket) => gone(socket),
  "stall-mid-stream": async (socket, plan) => (await sendHalf(socket, plan)) && gone(socket),
  "cut-mid-stream": (socket, plan, arg, gates) => cutAfterHalf(socket, plan, arg, gates),
  "fin-mid-stream": async (socket, plan) => (await sendHalf(socket, plan)) && close(socket),
  "close-delimited-cut": (socket, plan, arg, gates) => cutAfterHalf(socket, { ...plan, framing: "close" }, arg, gates),
  "extra-bytes": async (socket, plan) =>
    (await sendWhole(socket, plan, false)) &&
    write(socket, Buffer.from("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nstale")),
  "slow-chunks": slowChunks,
  drip: drip,
  "delay-ms": async (socket, plan, arg) => (await delay(Number(arg), true)) && sendWhole(socket, plan, false),
  "early-hints": (socket, plan) => informed(socket, plan, "103 Early Hints\r\nlink: </s>; rel=preload"),
  continue: (socket, plan) => informed(socket, plan, "100 Continue"),
  stale: stale,
  hold: hold,
  "early-head": earlyHead,
  "hold-head": async (socket, plan, arg, gates) => (await gates.pass(arg, socket)) && sendWhole(socket, plan, false),
};

/** Connections that a fault ended: their requests were not aborted by the gateway. */
const endedHere = new WeakSet<Socket>();

export function wasEndedHere(socket: Socket): boolean {
  return endedHere.has(socket);
}

function reset(socket: Socket): false {
  endedHere.add(socket);
  socket.resetAndDestroy();
  return false;
}

function close(socket: Socket): false {
  endedHere.add(socket);
  socket.end();
  return false;
}

/** Sends half and resets; with an argument, once the test opened that gate, so that the half has surely arrived. */
async function cutAfterHalf(socket: Socket, plan: Plan, arg: string, gates: Gates): Promise<boolean> {
  if (!(await sendHalf(socket, plan))) return false;
  if (arg !== "" && !(await gates.pass(arg, socket))) return false;
  return reset(socket);
}

/** Never goes on; resolves when the peer closed. */
async function gone(socket: Socket): Promise<boolean> {
  if (!socket.destroyed) await event(socket, "close");
  return false;
}

async function badHead(socket: Socket, plan: Plan, framing: readonly (readonly [string, string])[]): Promise<boolean> {
  await write(socket, Buffer.concat([headBytes(plan.status, [...plan.headers, ...framing]), bodyOf(plan)]));
  return close(socket);
}

async function badChunk(socket: Socket, plan: Plan): Promise<boolean> {
  await sendHalf(socket, { ...plan, framing: "chunked" });
  await write(socket, Buffer.from("zz\r\nnot a chunk\r\n"));
  return close(socket);
}

async function sendHalf(socket: Socket, plan: Plan): Promise<boolean> {
  return (await write(socket, planHead(plan))) && writePieces(socket, plan, firstHalf(plan));
}

/** Sends half, waits for the test to open the gate, sends the rest. */
async function hold(socket: Socket, plan: Plan, arg: string, gates: Gates): Promise<boolean> {
  if (!(await sendHalf(socket, plan))) return false;
  if (!(await gates.pass(arg, socket))) return false;
  return (await writePieces(socket, plan, secondHalf(plan))) && endBody(socket, plan);
}

/** The head alone; the body when the test opens the gate. */
async function earlyHead(socket: Socket, plan: Plan, arg: string, gates: Gates): Promise<boolean> {
  if (!(await write(socket, planHead(plan))) || !(await gates.pass(arg, socket))) return false;
  return (await writePieces(socket, plan, plan.pieces)) && endBody(socket, plan);
}

async function slowChunks(socket: Socket, plan: Plan, arg: string): Promise<boolean> {
  if (!(await write(socket, planHead(plan)))) return false;
  for (const piece of plan.pieces) {
    await delay(Number(arg));
    if (!(await writePieces(socket, plan, [piece]))) return false;
  }
  return endBody(socket, plan);
}

/** Starts a stream that never ends by itself: one comment each `arg` ms. */
async function drip(socket: Socket, plan: Plan, arg: string): Promise<boolean> {
  if (!(await sendHalf(socket, plan))) return false;
  while (await write(socket, chunk(Buffer.from(": still here\n\n")))) await delay(Number(arg));
  return false;
}

async function informed(socket: Socket, plan: Plan, head: string): Promise<boolean> {
  await write(socket, Buffer.from(`HTTP/1.1 ${head}\r\n\r\n`));
  return sendWhole(socket, plan, false);
}

/** Answers well, and resets the connection when the next request arrives on it. */
async function stale(socket: Socket, plan: Plan): Promise<boolean> {
  if (!(await sendWhole(socket, plan, false))) return false;
  socket.removeAllListeners("data");
  socket.once("data", () => socket.resetAndDestroy());
  return true;
}
