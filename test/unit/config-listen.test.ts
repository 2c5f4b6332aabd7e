/** `listen`: its short and long forms, what is refused and where, and the files that it refers to. */
import { deepEqual, equal, match } from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { listenerText } from "../../src/config/listener.ts";
import { checkText, type Reading } from "../../src/config/load.ts";
import { formatProblems } from "../../src/config/problem.ts";

const directory = mkdtempSync(join(tmpdir(), "sluice-listen-"));
after(() => rmSync(directory, { recursive: true }));
const FIXTURES = new URL("../fixtures/tls/", import.meta.url).pathname;
const CERT = `${FIXTURES}test-only-server.pem`;
const KEY = `${FIXTURES}test-only-server.key.pem`;
const OTHER_KEY = `${FIXTURES}test-only-second-server.key.pem`;

function read(listen: string): Reading {
  return checkText(join(directory, "f.yaml"), `providers: { demo: { type: demo } }\n${listen}\n`, {});
}

/** The first lines of its problems. */
function heads(listen: string): readonly string[] {
  const { problems, text } = read(listen);
  const report = formatProblems("f", text, problems);
  return report.split("\n").filter((line) => line.startsWith("f:"));
}

function refused(name: string, listen: string, expected: string): void {
  test(name, () => deepEqual(heads(listen), [`f:${expected}`]));
}

function file(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

describe("forms", () => {
  const texts = (listen: string) => read(listen).config?.listen.map(listenerText);

  test("one address, one mapping, or a list of both", () => {
    deepEqual(texts("listen: localhost:1"), ["localhost:1"]);
    deepEqual(texts("listen: { address: '[::]:1' }"), ["[::]:1"]);
    deepEqual(texts("listen: [127.0.0.1:1, { address: 127.0.0.1:2 }]"), ["127.0.0.1:1", "127.0.0.1:2"]);
    deepEqual(texts("workers: 1"), ["127.0.0.1:8081"]);
  });

  test("a unix socket: a path beside the file, its mode and group", () => {
    const places = read("listen: [unix:/run/a.sock, { address: unix:./b.sock, mode: 0666, group: root }]");
    deepEqual(
      places.config?.listen.map(({ place }) => place),
      [
        { kind: "unix", path: "/run/a.sock", mode: 0o660, groupId: null },
        { kind: "unix", path: join(directory, "b.sock"), mode: 0o666, groupId: 0 },
      ],
    );
    equal(texts("listen: unix:/run/a.sock")?.[0], "unix:/run/a.sock");
    const numbered = read("listen: { address: unix:/run/a.sock, group: 4711 }").config?.listen[0]?.place;
    equal(numbered?.kind === "unix" ? numbered.groupId : null, 4711);
  });

  test("proxies: addresses and networks", () => {
    const { config } = read(
      "listen: { address: a:1, proxy_protocol: { trusted: [10.0.0.0/8, 192.0.2.1, 'fd00::/8'] } }",
    );
    deepEqual(config?.listen[0]?.proxies, [
      { address: "10.0.0.0", prefix: 8 },
      { address: "192.0.2.1", prefix: 32 },
      { address: "fd00::", prefix: 8 },
    ]);
    deepEqual(texts("listen: { address: unix:/a, proxy_protocol: { trusted: [unix] } }"), ["unix:/a PROXY protocol"]);
  });

  test("certificates arrive as text, and survive the way to a worker", () => {
    const { config } = read(
      `listen: { address: a:1, tls: { cert_file: ${CERT}, key_file: ${KEY}, client_ca_file: ${CERT} } }`,
    );
    const pem = readFileSync(CERT, "utf8");
    const listen = structuredClone(config?.listen ?? []);
    deepEqual(listen[0]?.tls, { certificates: pem, key: readFileSync(KEY, "utf8"), clientAuthorities: pem, named: [] });
    deepEqual(listen.map(listenerText), ["a:1 TLS, clients with certificates"]);
  });
});

describe("refused, at its place", () => {
  const HOST = "expected host:port, such as 127.0.0.1:8081, 0.0.0.0:8081 or '[::]:8081' (with its quotes)";
  refused("an address in a list", "listen:\n  - localhost:1\n  - 8081", `4:5: ${HOST}`);
  refused("an address in a mapping", "listen: { address: 8081 }", `2:20: ${HOST}`);
  refused("no address", "listen:\n  - { mode: 0660 }", "3:5: 'address' is required");
  refused("an empty list", "listen: []", "2:9: an empty list is not taken; leave it out instead");
  refused(
    "too many",
    `listen: [${Array.from({ length: 17 }, (_, i) => `a:${i + 1}`)}]`,
    "2:9: at most 16 of these are taken",
  );
  refused("an unknown key", "listen: { address: a:1, tsl: {} }", "2:25: unknown key 'tsl'; did you mean 'tls'?");
  refused(
    "an unknown key further down",
    "listen: [{ address: a:1, tls: { cert: a, key_file: /a, cert_file: b } }]",
    "2:33: unknown key 'cert'",
  );
  refused("an address twice", "listen: [a:1, { address: a:1 }]", "2:26: this address is given twice");
  refused(
    "the admin's port",
    "listen: [a:1, a:8080]",
    "2:15: 'listen' and 'admin.listen' both use port 8080; give one of them another",
  );
  refused(
    "a mode that is none",
    "listen: { address: unix:/a, mode: rw }",
    "2:35: expected permissions as chmod takes them, such as 0660",
  );
  refused("a mode of a port", "listen: { address: a:1, mode: 0600 }", "2:25: only a unix socket has a mode");
  refused("a group of a port", "listen: [{ address: a:1, group: root }]", "2:26: only a unix socket has a group");
  refused(
    "a group that is not",
    "listen: { address: unix:/a, group: roott }",
    "2:36: there is no group 'roott' in /etc/group; did you mean 'root'?",
  );
  refused(
    "TLS on a unix socket",
    `listen: { address: unix:/a, tls: { cert_file: ${CERT}, key_file: ${KEY} } }`,
    "2:29: a unix socket takes no TLS; its mode and group guard it",
  );
  refused(
    "a relative path that looks like none",
    "listen: unix:a.sock",
    "2:9: expected a path behind unix:, beginning with /, ./ or ../",
  );
  refused("a long path", `listen: unix:/${"a".repeat(100)}`, "2:9: the path of a socket has at most 100 bytes");
  const NETWORK = "expected an address or network, such as 192.0.2.1, 10.0.0.0/8 or fd00::/8, or unix";
  refused("a network", "listen: { address: a:1, proxy_protocol: { trusted: [10.0.0.0/33] } }", `2:53: ${NETWORK}`);
  refused("a name", "listen: { address: a:1, proxy_protocol: { trusted: [localhost] } }", `2:53: ${NETWORK}`);
  refused(
    "nobody trusted",
    "listen: { address: a:1, proxy_protocol: { trusted: [] } }",
    "2:52: an empty list is not taken; leave it out instead",
  );
  refused(
    "unix at a port",
    "listen: { address: a:1, proxy_protocol: { trusted: [unix] } }",
    "2:53: only the peers of a unix socket are 'unix'",
  );
  refused(
    "an address at a unix socket",
    "listen: { address: unix:/a, proxy_protocol: { trusted: [10.0.0.1] } }",
    "2:57: the peers of a unix socket have no address; write 'unix'",
  );
});

describe("certificates", () => {
  const tls = (cert: string, key: string, more = "") =>
    `listen:\n  address: a:1\n  tls:\n    cert_file: ${cert}\n    key_file: ${key}\n${more}`;
  refused("no file", tls("nothing.pem", KEY), "5:16: the file does not exist");
  refused("no certificate", tls(KEY, KEY), "5:16: the file holds no PEM certificates that can be read");
  refused("no key", tls(CERT, CERT), "6:15: the file holds no PEM private key that can be read without a passphrase");
  refused(
    "another's key",
    tls(CERT, OTHER_KEY),
    "6:15: this key does not belong to the first certificate in 'cert_file'",
  );
  refused(
    "no authorities",
    tls(CERT, KEY, `    client_ca_file: ${KEY}\n`),
    "7:21: the file holds no PEM certificates that can be read",
  );
  refused(
    "a key in the place of its file",
    tls(CERT, "MIIEvQIBADANBg"),
    "6:15: expected the path of a file, beginning with /, ./ or ../",
  );

  test("an expired one can be used, with a warning at its place", () => {
    const { problems, warnings } = read(tls(`${FIXTURES}test-only-expired.pem`, OTHER_KEY));
    deepEqual(problems, []);
    const dated = warnings.filter(({ line, column }) => line === 5 && column === 16);
    match(dated[0]?.message ?? "", /^a certificate in this file expired on 20\d\d-\d\d-\d\d$/);
  });

  const NAMED = `${FIXTURES}test-only-named.pem`;
  const WILDCARD = `${FIXTURES}test-only-wildcard.pem`;
  const more = (names: string, cert: string, key = OTHER_KEY) =>
    `      - { names: [${names}], cert_file: ${cert}, key_file: ${key} }\n`;
  const certificates = (...list: readonly string[]) => tls(CERT, KEY, `    certificates:\n${list.join("")}`);

  test("further ones have names, in lower case, and are read in the same way", () => {
    const listen = certificates(more("ONE.sluice.test", NAMED), more("'*.sluice.test', a.sluice.test", WILDCARD));
    const { config, problems, warnings } = read(listen);
    const tlsWarnings = warnings.filter(({ line }) => line > 2 && line < 10);
    deepEqual([problems, tlsWarnings], [[], []]);
    deepEqual(
      config?.listen[0]?.tls?.named.map(({ names, certificates: text }) => [names, text]),
      [
        [["one.sluice.test"], readFileSync(NAMED, "utf8")],
        [["*.sluice.test", "a.sluice.test"], readFileSync(WILDCARD, "utf8")],
      ],
    );
  });

  test("a name that its certificate is not for is a warning at its place", () => {
    const { problems, warnings, text } = read(
      certificates(more("one.sluice.test, two.sluice.test, '*.sluice.test'", NAMED), more("a.b.sluice.test", WILDCARD)),
    );
    deepEqual(problems, []);
    const named = warnings.filter(({ message }) => message.includes("not for this name"));
    const shown = named.map(
      ({ line, column }) => (text.split("\n")[line - 1] ?? "").slice(column - 1).split(/[,\]]/)[0],
    );
    deepEqual(shown, ["two.sluice.test", "'*.sluice.test'", "a.b.sluice.test"]);
  });

  const NAME = "expected a host name, such as ai.example.com or *.example.com (letters of other scripts as xn--...)";
  refused("an address as a name", certificates(more("127.0.0.1", NAMED)), `8:19: ${NAME}`);
  refused("a star in the middle", certificates(more("a.*.test", NAMED)), `8:19: ${NAME}`);
  refused("no name", certificates(more("", NAMED)), "8:18: an empty list is not taken; leave it out instead");
  refused(
    "a name twice",
    certificates(more("one.sluice.test", NAMED), more("One.sluice.test", NAMED)),
    "9:19: this name is given twice",
  );
  refused(
    "another's key for one of them",
    certificates(more("one.sluice.test", NAMED, KEY)),
    `8:${more("one.sluice.test", NAMED, KEY).indexOf(KEY) + 1}: this key does not belong to the first certificate in 'cert_file'`,
  );

  test("no key is ever in what is said", () => {
    const secret = readFileSync(KEY, "utf8");
    const cut = file("cut.pem", secret.slice(0, 120));
    const { problems, text } = read(tls(CERT, cut));
    equal(problems.length, 1);
    equal(formatProblems("f", text, problems).includes(secret.slice(30, 60)), false);
  });
});
