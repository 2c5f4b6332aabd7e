/** The flame graph: what profilers print becomes stacks, stacks become a page; and one run of all of it. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { graphsOf } from "../../native-bench/flame/graphs.ts";
import { flamePage } from "../../native-bench/flame/page.ts";
import { samplesOf } from "../../native-bench/flame/perf-script.ts";
import { addStack, newTree, selfByKind, type TreeNode } from "../../native-bench/flame/stack-tree.ts";
import { Symbols } from "../../native-bench/flame/symbols.ts";
import { mappingsOf, samplesOfTicks } from "../../native-bench/flame/v8-ticks.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const NODE = "/opt/node/bin/node";
/** As perf 6.1 prints it: a whole stack, one that ends in a register without a frame, a pool thread, a hidden kernel. */
const PERF = `   71/71
\t    ffffffff9a1 tcp_sendmsg ([kernel.kallsyms])
\t           ab7a sluice::(anonymous namespace)::scan_with (${ROOT}src/native/build/sluice.node)
\t    7f8a63a56cc0 JS:*settle file://${ROOT}src/pipeline/settle.ts:22:32 (/tmp/perf-71.map)
\t    7f8a63a4f77d JS:~ ${ROOT}node_modules/undici/lib/dispatcher/client-h1.js:1100:55 (/tmp/perf-71.map)
\t         195d4dc Builtins_JSEntryTrampoline (${NODE})
\t           2724a __libc_start_call_main (/usr/lib/libc.so.6)

   71/71
\t           989d7 malloc (/usr/lib/libc.so.6)
\t         1124ac2 v8::internal::ScavengerCollector::CollectGarbage (${NODE})
\t               0 [unknown] ([unknown])
\t6f342d747067223a [unknown] ([unknown])

   70/75
\t    ffffffff9a1 [unknown] ([kernel.kallsyms])
\t    ffffffff9a2 [unknown] ([kernel.kallsyms])
\t    7f8a63a4f77d JS:^drain file://${ROOT}src/telemetry/drain.ts:50:1 (/tmp/perf-70.map)
\t          b29a22 node::worker::Worker::Run (${NODE})
\t           2724a start_thread (/usr/lib/libc.so.6)
`;

/** Every path of a tree, with its samples. */
function pathsOf(node: TreeNode, above: readonly string[] = []): string[] {
  const path = [...above, node.name];
  return [`${path.join(" > ")}: ${node.value}`, ...node.children.flatMap((child) => pathsOf(child, path))];
}

test("perf's samples become stacks from the outermost frame, with places in the tree", () => {
  const [first] = samplesOf(PERF);
  assert.deepEqual(
    first?.frames.map(({ kind, name }) => `${kind} ${name}`),
    [
      "library __libc_start_call_main",
      "javascript JSEntryTrampoline [V8]",
      "javascript (anonymous) undici/lib/dispatcher/client-h1.js:1100",
      "javascript settle src/pipeline/settle.ts:22",
      "addon sluice::(anonymous namespace)::scan_with",
      "kernel tcp_sendmsg",
    ],
  );
  assert.equal(first?.whole, true);
});

test("a stack that loses its callers says so, and addresses without a name are no frames", () => {
  const [, second, third] = samplesOf(PERF);
  assert.equal(second?.whole, false);
  assert.deepEqual(
    second?.frames.map(({ kind, name }) => `${kind} ${name}`),
    ["gc v8::internal::ScavengerCollector::CollectGarbage", "library malloc"],
  );
  assert.equal(third?.frames.filter(({ name }) => name === "[kernel]").length, 1);
});

test("stacks are folded by process and thread", () => {
  const [worker, supervisor] = graphsOf(samplesOf(PERF), { supervisor: 70, workers: [71] });
  assert.ok(worker !== undefined && supervisor !== undefined);
  assert.deepEqual([worker.root.value, worker.partial, supervisor.root.value], [2, 1, 1]);
  const paths = pathsOf(worker.root);
  assert.ok(paths.includes("gateway worker > main thread: 2"), paths.join("\n"));
  assert.ok(paths.some((path) => path.startsWith("gateway worker > main thread > (callers not seen) > v8::")));
  assert.ok(pathsOf(supervisor.root).includes("supervisor and its pool > pool threads: 1"));
});

test("equal beginnings are one frame, and every sample is somebody's own", () => {
  const root = newTree("x");
  const [a, b, c] = ["a", "b", "c"].map((name) => ({ name, kind: "node" }) as const);
  assert.ok(a !== undefined && b !== undefined && c !== undefined);
  for (const frames of [[a, b], [a, b, c], [a], [c]]) addStack(root, frames);
  assert.deepEqual(pathsOf(root), ["x: 4", "x > a: 3", "x > a > b: 2", "x > a > b > c: 1", "x > c: 1"]);
  assert.equal(selfByKind(root).get("node"), 4);
});

const TICKS = {
  code: [
    { name: `relay file://${ROOT}src/pipeline/relay.ts:9:1`, type: "JS" },
    { name: "StringAdd", type: "CODE" },
    { name: NODE, type: "SHARED_LIB" },
  ],
  ticks: [
    { tm: 5, vm: 0, s: [1, 4, 0, 8] },
    { tm: 50, vm: 0, s: [1, 4, 0, 8] },
    { tm: 60, vm: 1, s: [2, 100, 0, 8] },
    { tm: 70, vm: 6, s: [-1, 0x7010, 0, 8] },
    { tm: 75, vm: 6, s: [-1, 0x9999, 0, 8] },
    { tm: 80, vm: 6, s: [2, 200, 0, 8] },
    { tm: 90, vm: 8, s: [2, 100] },
    { tm: 500, vm: 0, s: [1, 4, 0, 8] },
  ],
};

test("V8's ticks within the load become stacks; waiting is no work", () => {
  const symbols: Record<string, string> = { [`${NODE}:100`]: "v8::Object::Get", [`${NODE}:200`]: "epoll_pwait" };
  const samples = samplesOfTicks(TICKS, {
    pid: 1,
    thread: "1",
    mappings: mappingsOf("7000-8000 r-xp 00000400 fe:00 53   /x/uws_linux.node\n9000-a000 rw-p 0 fe:00 53 /x/data\n"),
    symbolAt: (file, offset) => symbols[`${file}:${offset}`] ?? (offset === 0x410 ? "us_poll" : ""),
    fromUs: 40,
    toUs: 400,
  });
  assert.deepEqual(
    samples.map(({ frames }) => frames.map(({ kind, name }) => `${kind} ${name}`).join(" > ")),
    [
      "javascript relay src/pipeline/relay.ts:9 > javascript StringAdd [V8]",
      "javascript relay src/pipeline/relay.ts:9 > gc (garbage collector) > gc v8::Object::Get",
      "javascript relay src/pipeline/relay.ts:9 > uws us_poll",
      "javascript relay src/pipeline/relay.ts:9 > unknown (no name)",
    ],
  );
});

test("native functions are found by their place in a file", () => {
  const maps = spawnSync("nm", [`${ROOT}src/native/build/sluice.node`], { encoding: "utf8" }).stdout;
  const [, address = ""] = /^([0-9a-f]+) T napi_register_module_v1$/m.exec(maps) ?? [];
  const place = Number.parseInt(address, 16);
  assert.ok(place > 0);
  const symbols = new Symbols();
  const shifts = [0, 0x1000, 0x2000, 0x3000];
  const names = shifts.map((shift) => symbols.at(`${ROOT}src/native/build/sluice.node`, place - shift + 1));
  assert.ok(names.includes("napi_register_module_v1"), names.join());
  assert.equal(symbols.at("[vdso]", 1), "");
});

test("the page is whole in itself, and names are data", () => {
  const name = "</script><script>alert(1)</script> & <b>";
  const root = newTree("x");
  addStack(root, [{ name, kind: "javascript" }]);
  const page = flamePage({ graphs: [{ title: "<i>", root, partial: 0 }], notes: ["<u>"] });
  const markup = page.replaceAll(/<(script|style)\b([^>]*)>.*?<\/\1>/gs, "<$1$2>");
  assert.doesNotMatch(markup, /<(?:link|img|iframe|base|u|i|b)>|\b(?:src|href|on\w+)\s*=|alert/);
  assert.match(markup, /&#60;i&#62;/);
  const [, json = ""] = /<script type="application\/json" id="data">(.*?)<\/script>/s.exec(page) ?? [];
  assert.equal(JSON.parse(json).graphs[0].root.children[0].name, name);
});

const FRAMES = [
  /^javascript \S+ src\/pipeline\/(?:pipeline|forward|relay|settle)\.ts:\d+$/,
  /^javascript \S+ src\/upstream\/native-\S+:\d+$/,
  /^(?:addon|uws) [\w:]+/,
  /^node (?:v8|node)::/,
];

interface Page {
  readonly graphs: readonly { readonly title: string; readonly root: TreeNode }[];
}

function dataOf(file: string): Page {
  const [, json = ""] =
    /<script type="application\/json" id="data">(.*?)<\/script>/s.exec(readFileSync(file, "utf8")) ?? [];
  return JSON.parse(json);
}

/** All frames as "kind name". */
function framesIn({ kind, name, children }: TreeNode): string[] {
  return [`${kind} ${name}`, ...children.flatMap(framesIn)];
}

/** The data of the page that `--flame` writes. */
function runBench(directory: string, path: string): Page {
  const args = ["--flame", "--rounds", "1", "--seconds", "1.5", "--out", join(directory, "out")];
  const env = { ...process.env, TMPDIR: directory, PATH: path };
  const bench = join(ROOT, "native-bench", "bench.ts");
  const all = ["--disable-warning=ExperimentalWarning", bench, ...args];
  const { status, stderr } = spawnSync(process.execPath, all, { encoding: "utf8", env, timeout: 120_000 });
  assert.equal(status, 0, stderr);
  return dataOf(join(directory, "out", "flame-saturation.html"));
}

const PATH = process.env["PATH"] ?? "";
const RUNS = [
  { how: "as this machine allows", pathIn: () => PATH },
  {
    how: "where perf may not record",
    pathIn(directory: string): string {
      writeFileSync(join(directory, "perf"), "#!/bin/sh\nexit 255\n", { mode: 0o755 });
      return `${directory}:${PATH}`;
    },
  },
];

for (const { how, pathIn } of RUNS) {
  test(`a run under load shows scripts and native code, and leaves nothing behind: ${how}`, () => {
    const built = spawnSync("make", ["--silent", "-C", join(ROOT, "src", "native"), "bench"], { encoding: "utf8" });
    assert.equal(built.status, 0, built.stderr);
    const directory = mkdtempSync(join(tmpdir(), "flame-test-"));
    try {
      const path = pathIn(directory);
      const before = readdirSync(directory);
      const [worker, supervisor] = runBench(directory, path).graphs;
      assert.ok(worker !== undefined && supervisor !== undefined);
      const frames = framesIn(worker.root);
      for (const pattern of FRAMES) {
        assert.ok(
          frames.some((frame) => pattern.test(frame)),
          `${pattern} is not in ${frames.slice(0, 200).join("\n")}`,
        );
      }
      assert.ok(framesIn(supervisor.root).some((frame) => /^javascript \S+ src\/telemetry\//.test(frame)));
      assert.deepEqual(readdirSync(directory), [...before, "out"].toSorted());
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
}
