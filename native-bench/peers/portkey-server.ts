/**
 * The program that is Portkey with several workers: `portkey-server.ts START_SERVER WORKERS ARGUMENTS...`. Its workers are those
 * of Node's cluster module, which shares out connections among them; one worker needs none, and then this process serves. They
 * listen on loopback, which the program has no option for: it would offer everybody a proxy to any host.
 */
import cluster from "node:cluster";
import { Server } from "node:net";
import { pathToFileURL } from "node:url";

const [script = "", server = "", workers = "1", ...rest] = process.argv.slice(1);

function listenOnLoopback(): void {
  const { listen } = Server.prototype;
  Server.prototype.listen = function listenHere(this: Server, port: number, _host?: unknown, listening?: () => void) {
    return listen.call(this, { port, host: "127.0.0.1" }, listening);
  } as typeof listen;
}

function startWorkers(count: number): void {
  for (let started = 0; started < count; started += 1) cluster.fork();
  cluster.once("exit", () => process.exit(1));
  process.once("SIGTERM", () => process.exit());
}

if (cluster.isPrimary && Number(workers) > 1) {
  startWorkers(Number(workers));
} else {
  listenOnLoopback();
  process.argv.splice(1, process.argv.length, server === "" ? script : server, ...rest);
  await import(pathToFileURL(server).href);
}
