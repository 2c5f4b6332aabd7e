/**
 * A network of its own, with a loopback interface and nothing else, for programs that listen on fixed ports. Linux gives
 * one to root, and to others where user namespaces are allowed. Where neither works, programs run in the network that is
 * there: the fixed ports must be free then.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { within } from "./until.ts";

/** What makes one, with what enters it; the first that works is taken. */
const WAYS: readonly (readonly [make: readonly string[], enter: readonly string[]])[] = [
  [
    ["unshare", "--net"],
    ["nsenter", "--net"],
  ],
  [
    ["unshare", "--net", "--map-root-user"],
    ["nsenter", "--user", "--preserve-credentials", "--net"],
  ],
];
/** Ends when its input does, so also when the test's process is gone. */
const KEEPER = ["sh", "-c", "ip link set lo up && echo up && exec cat"];

export class PrivateNetwork {
  /** What a command has in front of it to run in there. */
  readonly through: readonly string[];
  private readonly keeper: ChildProcess | null;

  private constructor(through: readonly string[], keeper: ChildProcess | null) {
    this.through = through;
    this.keeper = keeper;
  }

  static async open(): Promise<PrivateNetwork> {
    for (const [make, enter] of WAYS) {
      const keeper = await keeperOf([...make, ...KEEPER]);
      const through = [...enter, "--target", String(keeper?.pid)];
      if (keeper !== null) return new PrivateNetwork(through, keeper);
    }
    return new PrivateNetwork([], null);
  }

  close(): void {
    this.keeper?.stdin?.end();
  }
}

/** The process that keeps the network; null: it may not have one here. */
async function keeperOf([command = "", ...args]: readonly string[]): Promise<ChildProcess | null> {
  const keeper = spawn(command, args, { stdio: ["pipe", "pipe", "ignore"] });
  const up = keeper.stdout === null ? Promise.resolve([]) : once(keeper.stdout, "data");
  const gone = once(keeper, "exit").catch(() => []);
  const isUp = await within("a network of its own", Promise.race([up.then(() => true), gone.then(() => false)]));
  return isUp ? keeper : null;
}
