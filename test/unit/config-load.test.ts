/** A valid file becomes the Config that it says, and the Config the Snapshot that requests use. */
import { deepEqual, equal, match, ok, throws } from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { rootCertificates } from "node:tls";
import { pathToFileURL } from "node:url";
import { decodeLabel } from "../../src/base/bytes.ts";
import { CodedError } from "../../src/base/errors.ts";
import { compileSnapshot } from "../../src/config/compile.ts";
import { writeFirstConfig } from "../../src/config/first.ts";
import { hashKey, newKey } from "../../src/config/key.ts";
import { checkText, loadConfig } from "../../src/config/load.ts";
import { ConfigError } from "../../src/config/problem.ts";
import { Refusal, readDuration, readPrice, readSize } from "../../src/config/scalar.ts";
import type { Config } from "../../src/config/schema.ts";

const COMPLETE = join(import.meta.dirname, "../fixtures/config/complete.yaml");
const ENV = { OPENAI_API_KEY: "sk-1", AZURE_KEY: "az-1" };

function temporary(name: string, text: string): string {
  const path = join(mkdtempSync(join(tmpdir(), "sluice-")), name);
  writeFileSync(path, text);
  return path;
}

/** As the supervisor does it before it sends a Config to workers. */
function withDemoUrl(config: Config): Config {
  const filled = Object.entries(config.providers).map(([name, provider]) => [
    name,
    provider.type === "demo" ? { ...provider, baseUrl: "http://127.0.0.1:4999/v1" } : provider,
  ]);
  return { ...config, providers: Object.fromEntries(filled) };
}

describe("loading", () => {
  const config = loadConfig(COMPLETE, ENV);

  test("every setting arrives, in our units", () => {
    deepEqual(config.listen, [{ place: { kind: "tcp", host: "::1", port: 9081 }, tls: null, proxies: null }]);
    deepEqual(config.admin, { host: "0.0.0.0", port: 9080 });
    equal(config.workers, 3);
    equal(config.logLevel, "debug");
    equal(config.replayStale, false);
    deepEqual(config.bounds, {
      bodyBytes: 1_000_000,
      bodyBytesInFlight: 2_097_152,
      jsonDepth: 64,
      connectionsPerProvider: 10,
      queuePerProvider: 0,
    });
    deepEqual(config.timeouts, {
      connectMs: 500,
      firstByteMs: 120_000,
      idleMs: 3_000,
      totalMs: 14_400_000,
      queueMs: 5_000,
      stallMs: 6_000,
      drainMs: 7_000,
      upstreamKeepAliveMs: 8_000,
    });
  });

  test("paths begin at the folder of the file", () => {
    equal(config.dataDir, join(COMPLETE, "../state"));
    equal(config.accessLogPath, join(COMPLETE, "../logs/access.ndjson"));
  });

  test("keys", () => {
    deepEqual(config.keys, [
      {
        name: "default",
        hash: "a".repeat(64),
        enabled: true,
        expiresAtMs: null,
        models: null,
        team: null,
        explain: false,
        priority: 5,
      },
      {
        name: "old",
        hash: "b".repeat(64),
        enabled: false,
        expiresAtMs: Date.UTC(2027, 0, 1),
        models: ["mini"],
        team: "search",
        explain: false,
        priority: 5,
      },
    ]);
  });

  test("limits, one for each quantity of a rule", () => {
    const pair = { name: "key+model", scope: ["key", "model"], keys: null, models: null };
    const limited = { calendar: null, alertAt: [] };
    const strict = { ...limited, observes: false, admitsUnplaced: false };
    const some = { name: "once", scope: [], keys: ["old"], models: ["mini", "same"] };
    const all = { name: "everything", scope: [], keys: null, models: null };
    const held = { kind: "held", periodMs: 0 };
    deepEqual(config.limits, [
      { ...pair, ...strict, quantity: "requests", kind: "rate", limit: 1_000, burst: 1_000, periodMs: 60_000 },
      { ...pair, ...strict, quantity: "tokens", kind: "rate", limit: 50_000, burst: 50_000, periodMs: 3_600_000 },
      { ...pair, ...strict, ...held, quantity: "concurrency", limit: 20, burst: 20 },
      {
        ...some,
        ...{ quantity: "input_tokens", kind: "rate", limit: 5, burst: 9, periodMs: 1_000 },
        ...{ ...limited, observes: true, admitsUnplaced: true },
      },
      { ...all, ...strict, quantity: "output_tokens", kind: "window", limit: 7, burst: 7, periodMs: 86_400_000 },
      { ...all, ...strict, ...held, quantity: "bytes_in_flight", limit: 1_048_576, burst: 1_048_576 },
    ]);
  });

  test("it survives the way to a worker", () => deepEqual(structuredClone(config), config));

  test("what is left out has its default", () => {
    const bare = loadConfig(temporary("a.yaml", "providers: { demo: { type: demo } }\nkeys:\nlimits:\n"), {});
    deepEqual(
      [bare.listen.map(({ place }) => place), bare.admin.port, bare.workers, bare.logLevel, bare.accessLogPath],
      [[{ kind: "tcp", host: "127.0.0.1", port: 8081 }], 8080, null, "info", null],
    );
    deepEqual([bare.bounds.bodyBytes, bare.timeouts.totalMs, bare.replayStale], [33_554_432, 3_600_000, true]);
    deepEqual([bare.passthrough, bare.keys, bare.models], ["demo", [], {}]);
  });

  test("with several providers none is chosen for requests without a model", () => {
    const { config: two } = checkText("/f.yaml", "providers: { a: { type: demo }, b: { type: demo } }\n", {});
    equal(two?.passthrough, null);
  });

  test("a file that cannot be read", () => {
    const code = { code: "config_unreadable" };
    throws(() => loadConfig("/nowhere/f.yaml", {}), {
      ...code,
      message: "The configuration file /nowhere/f.yaml does not exist.",
    });
    throws(() => loadConfig(tmpdir(), {}), code);
    throws(() => loadConfig(temporary("a.yaml", "\0\xff"), {}), ConfigError);
    throws(() => loadConfig(temporary("a.yaml", "#".repeat(4_194_305)), {}), {
      ...code,
      message: /is larger than 4194304 bytes\.$/,
    });
  });
});

describe("credentials", () => {
  const provider = (rest: string) => `providers: { a: { base_url: "http://h", ${rest} } }\n`;
  const header = (path: string, env: NodeJS.ProcessEnv) => loadConfig(path, env).providers["a"]?.credentials[0];

  test("from a file beside the configuration, without its newline", () => {
    const path = temporary("f.yaml", provider("auth: x-api-key, credential: { file: ./key }"));
    writeFileSync(join(path, "../key"), "secret\r\n");
    deepEqual(header(path, {}), { header: "x-api-key", value: "secret", source: "the file ./key" });
  });

  test("from systemd", () => {
    const path = temporary("f.yaml", provider("credential: { systemd: openai }"));
    writeFileSync(join(path, "../openai"), "secret");
    deepEqual(header(path, { CREDENTIALS_DIRECTORY: join(path, "..") }), {
      header: "authorization",
      value: "Bearer secret",
      source: "systemd: openai",
    });
  });

  test("certificate authorities are read, and looked at", () => {
    const path = temporary("f.yaml", provider("tls: { ca_file: ca.pem }"));
    throws(() => loadConfig(path, {}), /f\.yaml:1:\d+: the file does not exist/);
    writeFileSync(join(path, "../ca.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    throws(() => loadConfig(path, {}), /the file holds no PEM certificates/);
    writeFileSync(join(path, "../ca.pem"), rootCertificates[0] ?? "");
    equal(loadConfig(path, {}).providers["a"]?.tls.ca, rootCertificates[0]);
  });
});

describe("how requests are carried", () => {
  const TLS = join(import.meta.dirname, "../fixtures/tls");
  const CERT = join(TLS, "test-only-client.pem");
  const KEY = join(TLS, "test-only-client.key.pem");
  const read = (rest: string, url = "https://h") =>
    checkText("/f.yaml", `providers: { a: { base_url: "${url}", ${rest} } }\n`, {});
  const carried = (rest: string) => {
    const { transport, http2, proxy } = read(rest).config?.providers["a"] ?? {};
    return [transport, http2, proxy];
  };

  test("auto is native for all that it can do", () => {
    deepEqual(carried(""), ["native", false, null]);
    deepEqual(carried("transport: auto"), ["native", false, null]);
    deepEqual(carried("transport: native"), ["native", false, null]);
    deepEqual(carried("transport: undici"), ["undici", false, null]);
    deepEqual(carried("http2: true"), ["undici", true, null]);
    deepEqual(carried("proxy: http://p:3128/"), ["undici", false, "http://p:3128"]);
  });

  test("a proxy that wants to know who asks", () => {
    const text =
      'providers: { a: { base_url: "https://h", proxy: "http://m%C3%BCller@p:3128", proxy_password: { env: WORD } } }';
    const { config, problems } = checkText("/f.yaml", text, { WORD: "a:b c" });
    deepEqual(problems, []);
    const { proxy, proxyAuthorization } = config?.providers["a"] ?? {};
    deepEqual([proxy, proxyAuthorization], ["http://p:3128", `Basic ${btoa("m\u00c3\u00bcller:a:b c")}`]);
    const { missing } = checkText("/f.yaml", text, {});
    deepEqual(
      missing.map(({ message }) => message),
      ["the environment variable WORD is not set; set it, or use { file: PATH }"],
    );
  });

  test("our own certificate, and the name that is asked for", () => {
    const { config, problems } = read(`tls: { cert_file: ${CERT}, key_file: ${KEY}, server_name: API.example }`);
    deepEqual(problems, []);
    deepEqual(config?.providers["a"]?.tls, {
      ca: null,
      client: { certificates: readFileSync(CERT, "utf8"), key: readFileSync(KEY, "utf8") },
      serverName: "api.example",
    });
  });

  const REFUSED: readonly [string, string, RegExp][] = [
    ["transport: native, http2: true", "https://h", /native speaks no HTTP\/2/],
    ["transport: native, proxy: http://p:1", "https://h", /native goes through no proxy/],
    ["http2: true", "http://h", /HTTP\/2 needs a base_url with https/],
    ["transport: fast", "https://h", /transport|expected|one of/],
    ["proxy: p:3128", "https://h", /expected the URL of an HTTP proxy/],
    ["proxy: http://user:word@p:1", "https://h", /does not stand here; use 'proxy_password'/],
    ["proxy: http://:word@p:1", "https://h", /does not stand here; use 'proxy_password'/],
    ["proxy: http://user@p:1", "https://h", /a user needs 'proxy_password' as well/],
    ["proxy: http://us%3aer@p:1", "https://h", /without a colon/],
    ["proxy: http://%00@p:1", "https://h", /without a colon or control characters/],
    ["proxy: http://%ff@p:1", "https://h", /is UTF-8/],
    ["proxy_password: { env: WORD }", "https://h", /this needs a user in 'proxy'/],
    ["proxy: http://p:1, proxy_password: { env: WORD }", "https://h", /this needs a user in 'proxy'/],
    ["proxy: http://user@p:1, proxy_password: word", "https://h", /where the credential is, never itself/],
    ["proxy: http://p:1/path", "https://h", /has no path/],
    [`tls: { cert_file: ${CERT} }`, "https://h", /this needs 'key_file' as well/],
    [`tls: { key_file: ${KEY} }`, "https://h", /this needs 'cert_file' as well/],
    [`tls: { cert_file: ${CERT}, key_file: ${CERT} }`, "https://h", /holds no PEM private key/],
    ["tls: { server_name: '*.example' }", "https://h", /expected a host name/],
    ["tls: { server_name: 127.0.0.1 }", "https://h", /expected a host name/],
  ];

  for (const [rest, url, message] of REFUSED) {
    test(`refused: ${rest.replaceAll(TLS, "")}`, () => {
      const { problems } = read(rest, url);
      equal(problems.length, 1);
      match(problems[0]?.message ?? "", message);
    });
  }
});

describe("quantities", () => {
  test("prices are exact in pico-dollars per token", () => {
    const exact = [
      ["0.15", 150_000],
      ["0.075", 75_000],
      ["1", 1_000_000],
      ["2.50", 2_500_000],
      ["0.000001", 1],
      ["0", 0],
      ["10000", 10_000_000_000],
      ["1.005", 1_005_000],
      ["4.35", 4_350_000],
    ] as const;
    for (const [text, pico] of exact) equal(readPrice(text), pico, text);
  });

  test("every price with 6 decimals is the integer of its digits", () => {
    for (let pico = 1; pico < 4_000_000; pico += 7_919) {
      const digits = String(pico).padStart(7, "0");
      equal(readPrice(`${digits.slice(0, -6)}.${digits.slice(-6)}`), pico);
    }
  });

  test("durations", () => {
    const read = readDuration(1, 86_400_000);
    for (const [text, ms] of [
      ["500ms", 500],
      ["10s", 10_000],
      ["5m", 300_000],
      ["1h", 3_600_000],
      ["24h", 86_400_000],
    ] as const)
      equal(read(text), ms);
    for (const text of ["", "s", "10", "1.5s", "-1s", "10 s", "10S", "1d", "0s", "1e3s", "99999999999999999s"])
      ok(read(text) instanceof Refusal, text);
  });

  test("sizes", () => {
    const read = readSize(1, 2 ** 40);
    for (const [text, bytes] of [
      ["512KiB", 524_288],
      ["32MiB", 33_554_432],
      ["1GB", 1_000_000_000],
      ["77", 77],
      ["8B", 8],
    ] as const)
      equal(read(text), bytes);
    for (const text of ["", "KiB", "1.5MiB", "-1", "1mib", "1TiB", "0x10"]) ok(read(text) instanceof Refusal, text);
  });
});

describe("compiling", () => {
  const snapshot = compileSnapshot(withDemoUrl(loadConfig(COMPLETE, ENV)), 7);
  const target = (alias: string) => snapshot.routes.get(alias)?.target;

  test("the credential is a header of its provider, in lower case with the fixed ones", () => {
    const provider = target("mini")?.provider;
    equal(provider?.lines, "\r\nauthorization: Bearer sk-1\r\nopenai-organization: org-1");
    deepEqual(provider?.headerNames, new Set(["authorization", "openai-organization"]));
    equal(target("é/ü")?.provider.lines, "\r\napi-key: az-1");
  });

  test("client addresses are recorded only for an access log", () => {
    const config = withDemoUrl(loadConfig(COMPLETE, ENV));
    const recorded = (accessLogPath: string | null) => compileSnapshot({ ...config, accessLogPath }, 1).recordAddress;
    deepEqual([recorded(null), recorded("/log/access.ndjson")], [false, true]);
  });

  test("the base URL is taken apart", () => {
    deepEqual(
      [target("mini")?.provider.origin, target("mini")?.basePath, target("mini")?.query],
      ["https://api.openai.com", "/v1", ""],
    );
    const azure = target("é/ü");
    deepEqual(
      [azure?.provider.origin, azure?.basePath],
      ["https://h.example:8443", "/openai/deployments/dep%201%2F%C3%A4"],
    );
    equal(azure?.query, "x=1&api-version=2024-10-21");
    equal(azure?.usageOption, false);
  });

  test("the model upstream, as text, JSON and label", () => {
    const mini = target("mini");
    equal(mini?.upstreamModel, "gpt-4o-mini-2024-07-18");
    equal(Buffer.from(mini?.upstreamModelJson ?? []).toString(), '"gpt-4o-mini-2024-07-18"');
    equal(decodeLabel(mini?.upstreamModelLabel ?? new Uint8Array(1), 0), "gpt-4o-mini-2024-07-18");
  });

  test("a model that is called the same upstream leaves the client's bytes alone", () => {
    deepEqual([target("same")?.upstreamModel, target("same")?.upstreamModelJson], [null, null]);
    const any = snapshot.anyModel?.target;
    deepEqual([any?.upstreamModel, any?.price, any?.provider.name], [null, null, "openai"]);
  });

  test("a price is found by the name upstream, then by the alias", () => {
    deepEqual(target("mini")?.price, { inputPico: 150_000, cachedInputPico: 75_000, outputPico: 600_000 });
    deepEqual(target("same")?.price, { inputPico: 1, cachedInputPico: 1, outputPico: 10_000_000_000 });
    deepEqual(target("é/ü")?.price, { inputPico: 3_000_000, cachedInputPico: 3_000_000, outputPico: 15_500_000 });
  });

  test("keys are found by hash", () => {
    const key = snapshot.keys.get("a".repeat(64));
    deepEqual([key?.name, key?.expiresAtMs, key?.models], ["default", Number.POSITIVE_INFINITY, null]);
    deepEqual(snapshot.keys.get("b".repeat(64))?.models, new Set(["mini"]));
    equal(decodeLabel(key?.label ?? new Uint8Array(1), 0), "default");
  });

  test("the rest", () => {
    equal(snapshot.epoch, 7);
    equal(snapshot.routes.has("*"), false);
    equal(snapshot.passthrough?.provider.name, "openai");
    ok(Object.isFrozen(snapshot) && Object.isFrozen(target("mini")?.provider));
    ok(Math.abs(snapshot.loadedAtS * 1000 - Date.now()) < 60_000);
  });

  test("a demo provider has to have its URL by then", () => {
    throws(() => compileSnapshot(loadConfig(COMPLETE, ENV), 1), { code: "ERR_ASSERTION" });
  });

  test("it loads no package, for the sake of the memory of workers", () => {
    const compile = pathToFileURL(join(import.meta.dirname, "../../src/config/compile.ts")).href;
    const script = `import { registerHooks } from "node:module";
      registerHooks({ resolve: (name, context, next) => { const found = next(name, context); console.log(found.url); return found; } });
      await import("${compile}");`;
    const options = ["--disable-warning=ExperimentalWarning", "--input-type=module", "-e", script];
    const loaded = execFileSync(process.execPath, options, { encoding: "utf8" });
    ok(loaded.includes("/src/base/bytes.ts"));
    ok(!loaded.includes("/node_modules/"));
  });
});

describe("the first configuration", () => {
  for (const env of [{}, { OPENAI_API_KEY: "sk-1" }]) {
    test(`loads and takes its key, ${"OPENAI_API_KEY" in env ? "with" : "without"} OpenAI`, () => {
      const path = join(mkdtempSync(join(tmpdir(), "sluice-")), "sluice.yaml");
      const { key } = writeFirstConfig(path, env);
      const config = loadConfig(path, env);
      ok(compileSnapshot(withDemoUrl(config), 1).keys.has(hashKey(key)));
      equal(config.models["demo-chat"]?.targets[0]?.provider, "demo");
      equal(config.models["gpt-4o-mini"]?.targets[0]?.provider, "OPENAI_API_KEY" in env ? "openai" : "demo");
      equal(config.passthrough, "OPENAI_API_KEY" in env ? "openai" : "demo");
      equal(statSync(path).mode & 0o777, 0o600);
      const text = readFileSync(path, "utf8");
      ok(!text.includes(key) && !text.includes("@openai") && !text.includes("sk-1"));
    });
  }

  test("what it shows as comments is valid as well", () => {
    const path = join(mkdtempSync(join(tmpdir(), "sluice-")), "sluice.yaml");
    writeFirstConfig(path, { OPENAI_API_KEY: "a" });
    const text = readFileSync(path, "utf8")
      .replaceAll(/^# (?:access_log|limits|rate_limits|timeouts|replay_stale):.*\n(?:# {3}.*\n)*/gm, (block) =>
        block.replaceAll(/^# /gm, ""),
      )
      .replaceAll(/^ {2}# ( *[a-z0-9_"*-]+:(?: .*)?)$/gm, "  $1");
    const { problems } = checkText(path, text, { AZURE_OPENAI_API_KEY: "a", OPENAI_API_KEY: "b" });
    const files = problems.map(
      ({ line, message }) => `${/\w+_file/.exec(text.split("\n")[line - 1] ?? "")} ${message}`,
    );
    deepEqual(
      files,
      ["ca_file", "cert_file", "key_file"].map((name) => `${name} the file does not exist`),
    );
    ok(/^timeouts:/m.test(text) && /^ {4}base_url: http:\/\/127/m.test(text));
  });

  test("never replaces a file", () => {
    const path = temporary("sluice.yaml", "mine");
    throws(
      () => writeFirstConfig(path, {}),
      (error) => error instanceof CodedError && /exists already/.test(error.message),
    );
    equal(readFileSync(path, "utf8"), "mine");
  });
});

test("keys are long, different, and of a form of their own", () => {
  const keys = new Set(Array.from({ length: 100 }, newKey));
  equal(keys.size, 100);
  for (const key of keys) ok(/^sk-sluice-[A-Za-z0-9_-]{43}$/.test(key));
  equal(hashKey("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
});
