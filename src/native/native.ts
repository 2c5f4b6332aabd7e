/**
 * Typed binding of the C++ addon (built by `make -C src/native`). Loads in any process and thread. Every function is
 * synchronous and never throws on input: results are codes and numbers in caller-owned arrays. Wrong argument types are
 * programmer errors and throw.
 */
import { createRequire } from "node:module";

export interface NativeAddon {
  /**
   * Maps `bytes` of the file at `path` shared and writable, creating or growing it (never shrinking). The mapping lives
   * until the ArrayBuffer is collected. Throws an Error with errno text when the file cannot be opened or mapped.
   */
  mapFile(path: string, bytes: number): ArrayBuffer;
  /** Takes an exclusive flock on the file, creating it; held until the process ends. False: another process holds it. */
  lockFile(path: string): boolean;
}

export const native: NativeAddon = createRequire(import.meta.url)("./build/sluice.node");
