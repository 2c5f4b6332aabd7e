/** The control member of the package: its fields, its scripts and the list of configuration files. Packaging. Pure, but for reading the scripts. */
import { type Contents, copyOf, type Entry, md5sums, sizeOf, text } from "./contents.ts";

export interface Fields {
  readonly version: string;
  /** Of libraries. */
  readonly depends: readonly string[];
}

/** For sysusers.d and tmpfiles.d, also where systemd is not the init system. */
const DEPENDS = ["systemd | systemd-standalone-sysusers", "systemd | systemd-standalone-tmpfiles"];

/** Of a domain that is reserved for examples: nobody reads mail there. Who distributes the package puts an own address here. */
export const MAINTAINER = "Sluice maintainers <maintainers@sluice.example.org>";

const DESCRIPTION = `AI gateway: one OpenAI endpoint in front of many model providers
 Applications use Sluice as their OpenAI endpoint. It authenticates, routes,
 forwards, streams, meters and records every request to the model providers
 behind it. It forwards the client's own bytes, counts the tokens of every
 answer, aborted streams included, and needs no database and no other service.
 .
 The package brings its own runtime. After the installation a demo provider
 answers, so that it can be tried without an account.`;

export function controlFiles(contents: Contents, fields: Fields): ReadonlyMap<string, Entry> {
  const configuration = [...contents.keys()].filter((path) => path.startsWith("etc/"));
  return new Map([
    ["control", text(controlText(contents, fields))],
    ["conffiles", text(configuration.map((path) => `/${path}\n`).join(""))],
    ["md5sums", text(md5sums(contents))],
    ...["postinst", "prerm", "postrm"].map((name) => [name, copyOf(`packaging/debian/${name}`, 0o755)] as const),
  ]);
}

function controlText(contents: Contents, { version, depends }: Fields): string {
  return `Package: sluice
Version: ${version}
Architecture: amd64
Maintainer: ${MAINTAINER}
Installed-Size: ${installedKib(contents)}
Depends: ${[...depends, ...DEPENDS].join(", ")}
Suggests: logrotate, nginx | haproxy
Section: net
Priority: optional
Description: ${DESCRIPTION}
`;
}

/** As dpkg-gencontrol counts: every file in whole KiB, and one for each directory. */
function installedKib(contents: Contents): number {
  const files = [...contents.values()].reduce((sum, entry) => sum + Math.ceil(sizeOf(entry) / 1_024), 0);
  const folders = new Set([...contents.keys()].flatMap(parents));
  return files + folders.size;
}

function parents(path: string): readonly string[] {
  const parts = path.split("/").slice(0, -1);
  return parts.map((_, depth) => parts.slice(0, depth + 1).join("/"));
}
