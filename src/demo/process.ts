/**
 * The process of the demo provider: forked by the supervisor, so that requests to it outlive a restart. It tells its URL,
 * takes requests until its channel ends, finishes what runs, and ends. Signals are the supervisor's business.
 */
import process from "node:process";
import { openDemoServer } from "./server.ts";

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR2"] as const) process.on(signal, () => {});
const server = await openDemoServer();
process.on("disconnect", () => void server.finish());
process.send?.(server.url, undefined, undefined, () => {});
