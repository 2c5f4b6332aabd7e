/**
 * Whether our ports are ours to take. Workers share the proxy port with SO_REUSEPORT, so their own bind would succeed
 * next to another program of the same user and share its connections; an exclusive bind tells. Supervisor, at start.
 */
import { createServer, type Server } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { nowMs } from "../base/clock.ts";
import { CodedError } from "../base/errors.ts";

/** For the workers of a supervisor that was killed a moment ago: they stop listening when they notice, milliseconds. */
const PATIENCE_MS = 2_000;
const PAUSE_MS = 50;

export interface Claim {
  readonly host: string;
  readonly port: number;
  /** The setting that says so. */
  readonly setting: string;
}

/** Resolves when all of them could be bound at the same time, and releases them. Throws CodedError `port_unusable`. */
export async function requireFreePorts(claims: readonly Claim[]): Promise<void> {
  const deadlineMs = nowMs() + PATIENCE_MS;
  const held: Server[] = [];
  try {
    for (const claim of claims) held.push(await bindPatiently(claim, deadlineMs));
  } finally {
    await Promise.all(held.map((server) => new Promise((resolve) => server.close(resolve))));
  }
}

async function bindPatiently(claim: Claim, deadlineMs: number): Promise<Server> {
  for (;;) {
    try {
      return await bind(claim);
    } catch (cause) {
      if (codeOf(cause) !== "EADDRINUSE" || nowMs() >= deadlineMs) throw refusal(claim, cause);
      await sleep(PAUSE_MS);
    }
  }
}

function bind({ host, port }: Claim): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen({ host, port, exclusive: true }, () => resolve(server));
  });
}

function refusal({ host, port, setting }: Claim, cause: unknown): CodedError {
  const place = `port ${port} of ${host} (setting '${setting}')`;
  const messages: Readonly<Record<string, string>> = {
    EADDRINUSE: `Another program uses ${place}. Stop it, or change the setting.`,
    EACCES: `The system does not let this user serve ${place}. Use a port from 1024 on.`,
    EADDRNOTAVAIL: `This machine does not have the address of ${place}.`,
  };
  const message = messages[codeOf(cause)] ?? `Cannot serve ${place}: ${codeOf(cause)}.`;
  return new CodedError("port_unusable", message, cause);
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}
