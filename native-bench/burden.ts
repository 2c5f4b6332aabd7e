/**
 * A burden for a test of the instrument: loaded before a gateway worker (`--import burden.ts?us=200`), it keeps the worker busy for so
 * long at every request. So a change of known size is in the path, and no line of the product knows of it. Other processes and
 * threads, which get the same flags, stay as they are.
 */
import { createRequire } from "node:module";
import process from "node:process";
import { isMainThread } from "node:worker_threads";
import type { UwsApp } from "../src/http/uws.ts";

const WORKER = /\/src\/gateway\/worker\.ts$/;
const NS_PER_US = 1_000n;

function burn(ns: bigint): void {
  const end = process.hrtime.bigint() + ns;
  while (process.hrtime.bigint() < end);
}

function burdened(app: UwsApp, ns: bigint): UwsApp {
  const any = app.any.bind(app);
  app.any = (pattern, handler) =>
    any(pattern, (response, request) => {
      burn(ns);
      handler(response, request);
    });
  return app;
}

const us = new URL(import.meta.url).searchParams.get("us");
if (us !== null && isMainThread && WORKER.test(process.argv[1] ?? "")) {
  const uws: { App: () => UwsApp } = createRequire(import.meta.url)("uWebSockets.js");
  const { App } = uws;
  uws.App = () => burdened(App(), BigInt(us) * NS_PER_US);
}
