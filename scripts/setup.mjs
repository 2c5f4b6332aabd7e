/**
 * Makes the tree runnable: installs the locked dependencies, builds the addon and erases the types, each only when it is not
 * current. Plain JavaScript for any Node from 18 on. Quick when nothing changed (two small files are compared, `make -q`, and a hash
 * of src/). Work is done by one process at a time: flock(1) holds the lock, which the kernel drops however the holder ends.
 *
 * Run directly it sets up and ends; with --locked it is the process that holds the lock.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { isErased } from "./erase.mjs";
import { ROOT, RUNTIME, RUNTIME_FLAGS } from "./runtime.mjs";

const LOCK_FILE = join(ROOT, "package-lock.json");
/** npm writes it at the end of an install and removes it at the start of `npm ci`: a stamp of what is installed. */
const INSTALLED_FILE = join(ROOT, "node_modules", ".package-lock.json");
const ADDON_DIR = join(ROOT, "src", "native");
/** Ignored by git, and outside node_modules, which `npm ci` empties. */
const BUILD_DIR = join(ADDON_DIR, "build");
const LOCK_IS_HELD = 75;

/** Installs and builds what is not current. Throws an Error that says what to do. */
export function setup() {
  requireTool("make");
  if (isInstalled() && isBuilt() && isErased()) return;
  mkdirSync(BUILD_DIR, { recursive: true });
  const locked = [process.execPath, join(ROOT, "scripts", "setup.mjs"), "--locked"];
  const lock = join(BUILD_DIR, "setup.lock");
  let status = run("flock", ["--nonblock", "--conflict-exit-code", String(LOCK_IS_HELD), lock, ...locked]);
  if (status === LOCK_IS_HELD) {
    say("another process is setting up this tree; waiting for it");
    status = run("flock", [lock, ...locked]);
  }
  if (status !== 0) throw new Error("the set-up failed; the reason is above");
}

/** The work itself. Checks again, because another process may have done it while this one waited for the lock. */
function setupLocked() {
  const installed = isInstalled();
  if (!installed) install();
  if (!installed || !isBuilt()) build(installed);
  if (!isErased()) eraseTypes();
}

/**
 * Whether an install left exactly the packages of the lock file. Both are the texts of npm's files; `installedText` is
 * null when there was no complete install. Optional packages may be absent: they are for other platforms.
 */
export function isCurrent(lockText, installedText) {
  if (installedText === null) return false;
  const wanted = JSON.parse(lockText).packages;
  const found = JSON.parse(installedText).packages;
  return Object.keys(wanted).every((name) => name === "" || isSame(wanted[name], found[name]));
}

function isSame(wanted, found) {
  if (found === undefined) return wanted.optional === true || wanted.devOptional === true;
  return wanted.version === found.version && wanted.integrity === found.integrity;
}

function isInstalled() {
  return isCurrent(readFileSync(LOCK_FILE, "utf8"), readOrNull(INSTALLED_FILE));
}

function readOrNull(path) {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

function isBuilt() {
  return spawnSync("make", ["--question", "-C", ADDON_DIR], { stdio: "ignore" }).status === 0;
}

/**
 * `npm ci` with everything, tests included. Warnings are quiet: npm compares the host's node with what the packages
 * want, and the host's node is not what runs them.
 */
function install() {
  say("installing the locked dependencies (npm ci)");
  const args = ["ci", "--include=dev", "--include=optional", "--ignore-scripts", "--no-audit", "--no-fund"];
  const [command, ...first] = npmCommand(process.env);
  const status = run(command, [...first, ...args, "--loglevel=error"], { env: withoutNpm(process.env) });
  if (status !== 0) throw new Error("npm ci failed; the reason is above");
}

/** The npm that started this script, in the node that ran it; else the one in PATH. */
export function npmCommand(env) {
  if (env.npm_execpath === undefined) return ["npm"];
  return [env.npm_node_execpath ?? process.execPath, env.npm_execpath];
}

const OF_THE_OUTER_RUN =
  /^(npm_lifecycle_|npm_package_|npm_command$|npm_config_(omit|include|only|production)$|NODE_ENV$)/;

/** The environment without what an outer `npm start` set for its own run. The user's npm_config_ settings stay. */
export function withoutNpm(env) {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !OF_THE_OUTER_RUN.test(name)));
}

/** After an install everything is built anew: headers of another version can be older than our objects. */
function build(installed) {
  requireTool("g++");
  say("building the addon (make -C src/native)");
  const always = installed ? [] : ["--always-make"];
  const status = run("make", ["--no-print-directory", "--jobs=2", ...always, "-C", ADDON_DIR]);
  if (status !== 0) throw new Error("the addon could not be built; the reason is above");
}

function eraseTypes() {
  const status = run(RUNTIME, [...RUNTIME_FLAGS, join(ROOT, "scripts", "erase.mjs")]);
  if (status !== 0) throw new Error("the types could not be erased; the reason is above");
}

function requireTool(name) {
  if (spawnSync(name, ["--version"], { stdio: "ignore" }).error === undefined) return;
  throw new Error(`${name} is needed and was not found. On Debian: sudo apt-get install -y g++ make`);
}

/** Runs in the tree with our output (its standard output goes to standard error); the exit status. */
function run(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: ROOT, stdio: ["ignore", 2, 2], ...options });
  if (result.error) throw new Error(`cannot run ${command}: ${result.error.message}`);
  return result.status ?? 1;
}

function say(text) {
  process.stderr.write(`sluice: ${text}\n`);
}

/** Runs `work`; an error becomes a line on standard error and exit code 1. */
export function orFail(work) {
  try {
    work();
  } catch (error) {
    say(error.message);
    process.exitCode = 1;
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  orFail(process.argv.includes("--locked") ? setupLocked : setup);
}
