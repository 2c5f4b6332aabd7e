/**
 * The software bill of materials, CycloneDX 1.5 as JSON: every package of which code is shipped, with the hash of its archive as in
 * the lock file, and the two programs that packages contain under another name. Packaging. Nothing in it depends on the time.
 */
import type { LockedPackage } from "./lock.ts";

interface Component {
  readonly type: "library" | "application" | "platform";
  readonly name: string;
  readonly version: string;
  readonly purl: string;
  readonly licenses: readonly unknown[];
  readonly [field: string]: unknown;
}

/** What is inside of a package, because those who look for a vulnerability look for these names. */
export interface Inner {
  readonly name: string;
  readonly version: string;
  /** Null: not known by itself. */
  readonly license: string | null;
  readonly description: string;
  /** Of the file that is installed, if it is one. */
  readonly sha256?: string;
}

export interface Bill {
  readonly version: string;
  /** ISO. */
  readonly timestamp: string;
  readonly packages: readonly LockedPackage[];
  readonly inner: readonly Inner[];
}

export function sbom({ version, timestamp, packages, inner }: Bill): string {
  const application = {
    ...{ type: "application", name: "sluice", version, "bom-ref": `pkg:deb/sluice@${version}` },
    licenses: licensesOf("Apache-2.0"),
  };
  const document = {
    bomFormat: "CycloneDX",
    specVersion: "1.5",
    version: 1,
    metadata: { timestamp, component: application },
    components: [...packages.map(packageComponent), ...inner.map(innerComponent)],
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

function packageComponent({ name, version, license, integrity, path }: LockedPackage): Component {
  const [algorithm = "", hash = ""] = integrity.split("-", 2);
  const purl = `pkg:npm/${name.replace("@", "%40")}@${version}`;
  return {
    type: "library",
    // Two packages may need different versions of a third, and even the same one twice.
    "bom-ref": `${purl}?path=${path}`,
    ...{ name, version, purl },
    licenses: licensesOf(license),
    hashes: [{ alg: algorithm.replace(/^sha/, "SHA-"), content: Buffer.from(hash, "base64").toString("hex") }],
  };
}

function innerComponent({ name, version, license, description, sha256 }: Inner): Component {
  const purl = `pkg:generic/${name}@${version}`;
  return {
    type: name === "node" ? "platform" : "library",
    "bom-ref": purl,
    ...{ name, version, purl, description },
    licenses: license === null ? [] : licensesOf(license),
    ...(sha256 === undefined ? {} : { hashes: [{ alg: "SHA-256", content: sha256 }] }),
  };
}

/** A single licence has an id; anything else is an expression. */
function licensesOf(license: string): readonly unknown[] {
  return /[ ()]/.test(license) ? [{ expression: license.replace(/^\((.*)\)$/, "$1") }] : [{ license: { id: license } }];
}
