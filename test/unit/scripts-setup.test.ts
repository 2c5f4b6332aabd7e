/** scripts/setup.mjs: what counts as installed, and how npm is called. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isCurrent, npmCommand, withoutNpm } from "../../scripts/setup.mjs";

const UNDICI = { version: "8.0.0", integrity: "sha512-a" };

function packages(entries: Record<string, object>): string {
  return JSON.stringify({ packages: entries });
}

const LOCK = packages({
  "": { name: "sluice" },
  "node_modules/undici": UNDICI,
  "node_modules/other-platform": { version: "1.0.0", integrity: "sha512-b", optional: true },
});

test("an install with every package of the lock file is current", () => {
  assert.equal(isCurrent(LOCK, packages({ "node_modules/undici": UNDICI })), true);
  assert.equal(isCurrent(LOCK, packages({ "node_modules/undici": UNDICI, "node_modules/extra": UNDICI })), true);
});

test("no install, a missing package, another version or another content is not current", () => {
  assert.equal(isCurrent(LOCK, null), false);
  assert.equal(isCurrent(LOCK, packages({})), false);
  assert.equal(isCurrent(LOCK, packages({ "node_modules/undici": { ...UNDICI, version: "8.0.1" } })), false);
  assert.equal(isCurrent(LOCK, packages({ "node_modules/undici": { ...UNDICI, integrity: "sha512-c" } })), false);
});

test("an optional package may be absent but not different", () => {
  const other = { version: "2.0.0", integrity: "sha512-d" };
  assert.equal(
    isCurrent(LOCK, packages({ "node_modules/undici": UNDICI, "node_modules/other-platform": other })),
    false,
  );
});

test("npm is the one that started us, in its own node; else the one in PATH", () => {
  assert.deepEqual(npmCommand({}), ["npm"]);
  const outer = { npm_execpath: "/npm/cli.js", npm_node_execpath: "/node" };
  assert.deepEqual(npmCommand(outer), ["/node", "/npm/cli.js"]);
});

test("npm ci sees the user's settings and nothing of the outer run", () => {
  const env = {
    PATH: "/bin",
    npm_config_cafile: "/ca.pem",
    npm_config_omit: "dev",
    npm_command: "start",
    npm_lifecycle_event: "start",
    npm_package_json: "/x/package.json",
    NODE_ENV: "production",
  };
  assert.deepEqual(withoutNpm(env), { PATH: "/bin", npm_config_cafile: "/ca.pem" });
});
