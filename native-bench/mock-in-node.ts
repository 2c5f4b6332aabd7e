/**
 * The mock provider in a process of Node, native-bench/native/mock-addon.cc: as the program, and it has TLS, by Node's OpenSSL. Its
 * loop is the native one: no JavaScript runs once it serves.
 */
import { createRequire } from "node:module";
import process from "node:process";

interface MockAddon {
  /** Returns when the provider has ended: the exit code. */
  run(options: readonly string[]): number;
}

const addon: MockAddon = createRequire(import.meta.url)("./native/build/mock.node");
process.exitCode = addon.run(process.argv.slice(2));
