/**
 * The libraries that our binaries need, as Debian packages with the oldest version that has all symbols. Packaging. It
 * fails for what it does not know: a wrong dependency would show on somebody's server.
 */
import { execFileSync } from "node:child_process";

/** Debian's package of each library, and which symbol versions belong to it. */
const PACKAGES: Readonly<Record<string, string>> = {
  "libc.so.6": "libc6",
  "libm.so.6": "libc6",
  "libdl.so.2": "libc6",
  "libpthread.so.0": "libc6",
  "ld-linux-x86-64.so.2": "libc6",
  "libstdc++.so.6": "libstdc++6",
  "libgcc_s.so.1": "libgcc-s1",
};

/** GCC release that brought a symbol version of libstdc++, by its last number (GCC's manual, "ABI Policy"). */
const GLIBCXX: Readonly<Record<number, string>> = {
  20: "4.9",
  21: "5",
  22: "6",
  23: "7",
  24: "7",
  25: "8",
  26: "9",
  27: "9",
  28: "9",
  29: "11",
  30: "12",
};
/** As GLIBCXX, for the C++ runtime's own symbols (CXXABI_1.3.n). */
const CXXABI: Readonly<Record<number, string>> = { 8: "4.9", 9: "5", 10: "6", 11: "7", 12: "9", 13: "11" };
/** What is older than all of this needs no version. */
const OLD = "4.9";

interface Need {
  readonly name: string;
  readonly version: string | null;
}

/** The field Depends for these files. */
export function libraryDependencies(files: readonly string[]): readonly string[] {
  const needs = files.flatMap((file) => needsIn(execFileSync("objdump", ["-p", file], { encoding: "utf8" })));
  const versions = new Map<string, string | null>();
  for (const { name, version } of needs) versions.set(name, later(versions.get(name) ?? null, version));
  return [...versions].sort().map(([name, version]) => (version === null ? name : `${name} (>= ${version})`));
}

/** Out of what `objdump -p` prints. */
export function needsIn(dump: string): readonly Need[] {
  const libraries = [...dump.matchAll(/^ +NEEDED +(\S+)$/gm)].map(([, library = ""]) => need(library));
  const symbols = [...dump.matchAll(/^ +0x\S+ 0x\S+ \d+ ([A-Z]+)_(\S+)$/gm)].map(([, family = "", version = ""]) =>
    symbolNeed(family, version),
  );
  return [...libraries, ...symbols];
}

function need(library: string): Need {
  const name = PACKAGES[library];
  if (name === undefined) throw new Error(`no Debian package is known for ${library}`);
  return { name, version: null };
}

function symbolNeed(family: string, version: string): Need {
  switch (family) {
    case "GLIBC":
      return { name: "libc6", version };
    case "GCC":
      return { name: "libgcc-s1", version };
    case "GLIBCXX":
      return {
        name: "libstdc++6",
        version: release(GLIBCXX, `${family}_${version}`, /^3\.4(?:\.(\d+))?$/.exec(version)),
      };
    case "CXXABI":
      return {
        name: "libstdc++6",
        version: release(CXXABI, `${family}_${version}`, /^1\.3(?:\.(\d+))?$/.exec(version)),
      };
    default:
      throw new Error(`the symbol version ${family}_${version} is not known`);
  }
}

function release(releases: Readonly<Record<number, string>>, symbol: string, parts: RegExpExecArray | null): string {
  if (parts === null) throw new Error(`the symbol version ${symbol} is not known`);
  const last = Number(parts[1] ?? 0);
  const first = Math.min(...Object.keys(releases).map(Number));
  const found = last < first ? OLD : releases[last];
  if (found === undefined) throw new Error(`${symbol} is newer than Debian 12`);
  return found;
}

function later(a: string | null, b: string | null): string | null {
  if (a === null || b === null) return a ?? b;
  return a.localeCompare(b, "en", { numeric: true }) < 0 ? b : a;
}
