/**
 * A burden for a test of the instrument: loaded before a gateway worker (`--import burden.ts?us=200`), it keeps the worker busy for so
 * long at every request. So a change of known size is in the path, and no line of the product knows of it. Other processes and
 * threads, which get the same flags, stay as they are.
 */
import process from "node:process";
import { pathToFileURL } from "node:url";
import { isMainThread } from "node:worker_threads";

const WORKER = /\/gateway\/worker\.([jt]s)$/;
const NS_PER_US = 1_000n;

function burn(ns: bigint): void {
  const end = process.hrtime.bigint() + ns;
  while (process.hrtime.bigint() < end);
}

const us = new URL(import.meta.url).searchParams.get("us");
const program = process.argv[1] ?? "";
if (us !== null && isMainThread && WORKER.test(program)) {
  const ns = BigInt(us) * NS_PER_US;
  // The one that the worker loads: as JavaScript, where it runs as that.
  const file = program.replace(WORKER, "/pipeline/pipeline.$1");
  const { Pipeline }: typeof import("../src/pipeline/pipeline.ts") = await import(pathToFileURL(file).href);
  const { onHead } = Pipeline.prototype;
  Pipeline.prototype.onHead = function burdened(exchange, verdict) {
    burn(ns);
    return onHead.call(this, exchange, verdict);
  };
}
