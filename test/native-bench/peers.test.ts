/** How peers are had and set up: the cache, tools that fail, names and configurations. Nothing is installed. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Setting } from "../../native-bench/contestant.ts";
import { addPages, preparedBifrost } from "../../native-bench/peers/bifrost.ts";
import { cacheDirectory, install, type Versions } from "../../native-bench/peers/cache.ts";
import { preparedFerro } from "../../native-bench/peers/ferro.ts";
import { preparedGomodel } from "../../native-bench/peers/gomodel.ts";
import { preparedHaproxy } from "../../native-bench/peers/haproxy.ts";
import { COMPROMISED, VERSION as LITELLM, preparedLitellm } from "../../native-bench/peers/litellm.ts";
import { PEERS, peersNamed } from "../../native-bench/peers/peers.ts";
import { preparedPortkey } from "../../native-bench/peers/portkey.ts";
import { runTool } from "../../native-bench/peers/tool.ts";
import { Unavailable } from "../../native-bench/peers/unavailable.ts";
import { until } from "../support/until.ts";

function temporary(): string {
  return mkdtempSync(join(tmpdir(), "sluice-peers-"));
}

function setting(): Setting {
  return { directory: temporary(), mockPort: 9_000, workers: 3 };
}

/** Writes what it is told to, and counts. */
function filling(text: string) {
  const done = { times: 0 };
  const fill = async (directory: string): Promise<Versions> => {
    done.times += 1;
    writeFileSync(join(directory, "text"), text);
    return { thing: text };
  };
  return { done, fill };
}

test("a peer is installed once for each version", async () => {
  const cache = join(temporary(), "not", "there", "yet");
  const { done, fill } = filling("one");
  const first = await install(cache, { name: "x", version: "1", fill });
  assert.equal(readFileSync(join(first.directory, "text"), "utf8"), "one");
  assert.deepEqual(first.versions, { thing: "one" });
  assert.deepEqual(await install(cache, { name: "x", version: "1", fill }), first);
  assert.equal(done.times, 1);
  const second = await install(cache, { name: "x", version: "2", fill });
  assert.equal(done.times, 2);
  assert.notEqual(second.directory, first.directory);
});

test("an installation that fails leaves nothing behind, and the next begins anew", async () => {
  const cache = temporary();
  const fill = async (directory: string): Promise<Versions> => {
    writeFileSync(join(directory, "half"), "");
    throw new Unavailable("x", "no network");
  };
  await assert.rejects(install(cache, { name: "x", version: "1", fill }), /x cannot be had: no network/);
  assert.deepEqual(readdirSync(cache), []);
  const { directory } = await install(cache, { name: "x", version: "1", fill: filling("whole").fill });
  assert.deepEqual(readdirSync(directory).toSorted(), ["text", "versions.json"]);
});

test("what a killed runner left half done is not taken, and removed; that of a living one is left alone", async () => {
  const cache = temporary();
  const [killed, living, other] = ["x-1.partial-999999999", "x-1.partial-1", "x-12.partial-999999999"];
  for (const name of [killed, living, other]) mkdirSync(join(cache, name));
  const { done, fill } = filling("whole");
  await install(cache, { name: "x", version: "1", fill });
  assert.equal(done.times, 1);
  assert.deepEqual(readdirSync(cache).toSorted(), ["x-1", living, other].toSorted());
});

test("two runners that install at once get the same", async () => {
  const cache = temporary();
  const { fill } = filling("whole");
  const installation = { name: "x", version: "1", fill };
  const slower = async (directory: string): Promise<Versions> => {
    // The other one is done by now.
    await install(join(directory, "elsewhere"), installation);
    mkdirSync(join(cache, "x-1"));
    writeFileSync(join(cache, "x-1", "versions.json"), '{"thing":"theirs"}');
    return fill(directory);
  };
  assert.deepEqual((await install(cache, { ...installation, fill: slower })).versions, { thing: "theirs" });
  assert.deepEqual(readdirSync(cache), ["x-1"]);
});

test("the cache is where XDG says, outside of the tree", () => {
  assert.equal(cacheDirectory({ XDG_CACHE_HOME: "/somewhere" }), "/somewhere/sluice-bench");
  for (const ignored of [{}, { XDG_CACHE_HOME: "" }, { XDG_CACHE_HOME: "relative" }]) {
    assert.match(cacheDirectory(ignored), /^\/.*\/\.cache\/sluice-bench$/);
  }
});

const NEVER = new AbortController().signal;
const TASK = { peer: "x", directory: tmpdir(), deadlineMs: 60_000, signal: NEVER };

test("a tool that is not there, fails or hangs is a reason", async () => {
  const failure = join(temporary(), "failure.sh");
  writeFileSync(failure, "echo out; echo  why not >&2; exit 7");
  const none = runTool({ ...TASK, tool: "sluice-no-such-tool", args: ["install"] });
  await assert.rejects(none, { name: "Unavailable", peer: "x", reason: "sluice-no-such-tool is not in PATH" });
  const failing = runTool({ ...TASK, tool: "/bin/sh", args: ["--", failure, "x"] });
  await assert.rejects(failing, { code: "peer_unavailable", reason: `sh ${failure} failed (7): out why not` });
  const hanging = runTool({ ...TASK, tool: "sleep", args: ["1000"], deadlineMs: 50 });
  await assert.rejects(hanging, { reason: "sleep 1000 took longer than 0.05 s" });
});

test("a tool that hangs ends with what it started", async () => {
  const directory = temporary();
  const script = "sleep 1000 & echo $! > below; wait";
  await assert.rejects(runTool({ ...TASK, directory, tool: "sh", args: ["-c", script], deadlineMs: 500 }), /longer/);
  const below = readFileSync(join(directory, "below"), "utf8").trim();
  await until("it is gone", () => !existsSync(`/proc/${below}`) || /State:\s+Z/.test(statusOf(below)));
});

test("a tool ends with the benchmark, and none begins after that", async () => {
  const stop = new AbortController();
  const sleeping = runTool({ ...TASK, tool: "sleep", args: ["1000"], signal: stop.signal });
  stop.abort();
  const ended = { name: "Unavailable", reason: "sleep 1000 was ended with the benchmark" };
  await assert.rejects(sleeping, ended);
  await assert.rejects(runTool({ ...TASK, tool: "sleep", args: ["1000"], signal: stop.signal }), ended);
});

function statusOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/status`, "utf8");
  } catch {
    return "State: Z";
  }
}

test("a tool sees the user's registry settings, and its output is given", async () => {
  process.env["PIP_INDEX_URL"] = "http://127.0.0.1:1/simple";
  const environment = { MORE: "more" };
  const output = await runTool({ ...TASK, tool: "sh", args: ["-c", "echo $PIP_INDEX_URL $MORE"], environment });
  delete process.env["PIP_INDEX_URL"];
  assert.equal(output, "http://127.0.0.1:1/simple more\n");
});

test("reasons are one line of bounded length, with its beginning and its end", () => {
  const { reason } = new Unavailable("x", `\u001b[31mthe begin\n${"much ".repeat(1_000)}\nand\tthe  end\u001b[0m\n`);
  assert.match(reason, /^the begin much .*much and the end$/);
  assert.ok(reason.length < 810, `${reason.length}`);
});

for (const [name, make] of Object.entries(PEERS)) {
  test(`${name} is unavailable where its tool is not in PATH, and the cache stays empty`, async () => {
    const [cache, path] = [temporary(), process.env["PATH"]];
    process.env["PATH"] = temporary();
    try {
      await assert.rejects(make(cache, NEVER), { name: "Unavailable", peer: name, reason: /is not in PATH/ });
    } finally {
      process.env["PATH"] = path;
    }
    assert.deepEqual(readdirSync(cache), []);
  });
}

test("peers are named in a list, each once", () => {
  assert.deepEqual(
    peersNamed("Portkey, litellm,,portkey ").map(({ name }) => name),
    ["portkey", "litellm"],
  );
  assert.deepEqual(peersNamed(""), []);
});

test("an unknown peer is an error with a suggestion, or with all there are", () => {
  assert.throws(() => peersNamed("litellm,portkye"), {
    code: "unknown_peer",
    message: 'no peer "portkye"; did you mean "portkey"?',
  });
  assert.throws(() => peersNamed("constructor"), {
    message: /^no peer "constructor"; there are nginx, haproxy, portkey, /,
  });
});

test("LiteLLM is pinned to a release that its authors made", () => {
  assert.match(LITELLM, /^\d+\.\d+\.\d+$/);
  assert.ok(!COMPROMISED.includes(LITELLM));
  assert.deepEqual(COMPROMISED, ["1.82.7", "1.82.8"]);
});

test("Portkey is told the provider by headers and the workers by its launcher", () => {
  const { program, endpoint } = preparedPortkey("/cache/portkey", setting(), 8_787);
  assert.equal(program.command, process.execPath);
  assert.deepEqual(program.args.slice(2), [
    "/cache/portkey/node_modules/@portkey-ai/gateway/build/start-server.js",
    "3",
    "--port=8787",
    "--headless",
  ]);
  assert.deepEqual(new Map(endpoint.headers).get("x-portkey-custom-host"), "http://127.0.0.1:9000/v1");
  assert.equal(endpoint.port, 8_787);
});

test("LiteLLM has as many workers, its key, the mock, and no line per request", () => {
  const given = setting();
  const { program, endpoint } = preparedLitellm("/cache/litellm", given, 4_000);
  const [config, logging] = [join(given.directory, "config.yaml"), join(given.directory, "logging.json")];
  const address = ["--host", "127.0.0.1", "--port", "4000", "--num_workers", "3", "--telemetry", "False"];
  assert.deepEqual(program.args.slice(2), ["--config", config, "--log_config", logging, ...address]);
  assert.equal(program.environment["LITELLM_LOCAL_MODEL_COST_MAP"], "True");
  assert.deepEqual(JSON.parse(readFileSync(config, "utf8")), {
    model_list: [
      {
        model_name: "gpt-4o",
        litellm_params: { model: "openai/gpt-4o", api_base: "http://127.0.0.1:9000/v1", api_key: "mock" },
      },
    ],
    general_settings: { master_key: "mock-key" },
  });
  assert.equal(JSON.parse(readFileSync(logging, "utf8")).loggers["uvicorn.access"].level, "ERROR");
  assert.deepEqual(endpoint.headers, [["authorization", "Bearer mock-key"]]);
});

test("Ferro gets one target, the mock and as many threads, and fetches nothing", () => {
  const given = setting();
  const { program } = preparedFerro("/cache/ferro", given, 8_080);
  const { GATEWAY_CONFIG: config = "", ...rest } = program.environment;
  assert.deepEqual(JSON.parse(readFileSync(config, "utf8")), {
    strategy: { mode: "single" },
    targets: [{ virtual_key: "openai" }],
  });
  assert.deepEqual(rest, {
    OPENAI_BASE_URL: "http://127.0.0.1:9000/v1",
    OPENAI_API_KEY: "mock",
    ALLOW_UNAUTHENTICATED_PROXY: "true",
    PORT: "8080",
    LOG_LEVEL: "error",
    FERRO_MODEL_CATALOG_TIMEOUT: "0",
    GOMAXPROCS: "3",
  });
  assert.equal(program.command, "/cache/ferro/program");
});

test("GoModel gets one model, the mock and as many threads, keeps its files here and fetches nothing", () => {
  const given = setting();
  const { environment } = preparedGomodel("/cache/gomodel", given, 8_080).program;
  assert.equal(environment["OPENAI_BASE_URL"], "http://127.0.0.1:9000/v1");
  assert.equal(environment["OPENAI_MODELS"], "gpt-4o");
  assert.equal(environment["CONFIGURED_PROVIDER_MODELS_MODE"], "allowlist");
  assert.equal(environment["GOMODEL_OFFLINE"], "true");
  assert.equal(environment["GOMAXPROCS"], "3");
  for (const name of ["GOMODEL_CACHE_DIR", "SQLITE_PATH", "PID_FILE"]) {
    assert.ok(environment[name]?.startsWith(given.directory), name);
  }
});

test("Bifrost gets one key for one model, and its model has the provider's name before it", () => {
  const given = setting();
  const { program, endpoint } = preparedBifrost("/cache/bifrost", given, 8_081);
  const address = ["--host", "127.0.0.1", "--port", "8081", "--log-level", "error"];
  assert.deepEqual(program.args, ["--app-dir", given.directory, ...address]);
  assert.deepEqual(JSON.parse(readFileSync(join(given.directory, "config.json"), "utf8")), {
    providers: {
      openai: {
        keys: [{ name: "mock", value: "mock", models: ["gpt-4o"], weight: 1 }],
        network_config: { base_url: "http://127.0.0.1:9000" },
      },
    },
  });
  assert.equal(endpoint.model, "openai/gpt-4o");
  assert.equal(program.environment["GOMAXPROCS"], "3");
});

test("Bifrost's sources get the page that its module lacks", () => {
  const sources = temporary();
  mkdirSync(join(sources, "bifrost-http"));
  addPages(sources);
  assert.match(readFileSync(join(sources, "bifrost-http", "ui", "index.html"), "utf8"), /^<!doctype html>/);
});

test("HAProxy has as many threads and keeps its connections to the mock", () => {
  const given = setting();
  preparedHaproxy(given, 8_082);
  const text = readFileSync(join(given.directory, "haproxy.cfg"), "utf8");
  for (const line of ["nbthread 3", "http-reuse always", "bind 127.0.0.1:8082 ", "server mock 127.0.0.1:9000 "]) {
    assert.ok(text.includes(line), line);
  }
});
