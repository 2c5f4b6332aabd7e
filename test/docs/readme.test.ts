/**
 * Every YAML block of README.md is a configuration that `sluice check` takes: the first one as it is, each of the others put into it, as
 * whoever follows the page does.
 */
import { deepStrictEqual, ok } from "node:assert/strict";
import { after, test } from "node:test";
import { parse, stringify } from "yaml";
import { checkText } from "../../src/config/load.ts";
import { formatProblems } from "../../src/config/problem.ts";
import { Configured } from "./configured.ts";
import { Page } from "./page.ts";

type Sections = Readonly<Record<string, unknown>>;

const page = new Page("README.md");
const blocks = page.blocks.filter(({ language }) => language === "yaml").map(({ text }) => text);
const configured = new Configured();
after(() => configured.remove());

const [typical = "", ...fragments] = blocks;
const DEFAULT_KEY = { name: "default", hash: `sha256:${"0".repeat(64)}` };

/** Sections that are mappings get more entries, all others are replaced. */
function put(fragment: Sections, base: Sections): Sections {
  const mixed = Object.entries(fragment).map(([name, value]) => {
    const before = base[name];
    return [name, isMapping(value) && isMapping(before) ? { ...before, ...value } : value];
  });
  return { ...base, ...Object.fromEntries(mixed) };
}

function isMapping(value: unknown): value is Sections {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The typical one, with the key that fragments speak of. */
function base(): Sections {
  const sections = parse(typical) as Sections;
  return { ...sections, keys: [...(sections["keys"] as object[]), DEFAULT_KEY] };
}

/** What `sluice check` says against it; nothing: it takes it. */
function said(text: string): string[] {
  const here = configured.write(text);
  const { problems, missing } = checkText(configured.path, here, configured.env(here));
  return problems.length + missing.length === 0
    ? []
    : formatProblems("README.md", here, [...problems, ...missing]).split("\n");
}

test("the typical configuration of the README is taken as it is, without a warning", () => {
  deepStrictEqual(said(typical), []);
  const here = configured.write(typical);
  deepStrictEqual(checkText(configured.path, here, configured.env(here)).warnings, []);
});

for (const [index, fragment] of fragments.entries()) {
  const name = fragment.split("\n").find((line) => /^\w/.test(line)) ?? `block ${index + 2}`;
  test(`what the README says of '${name}' can be put into it`, () => {
    deepStrictEqual(said(stringify(put(parse(fragment) as Sections, base()))), []);
  });
}

test("a block with a mistake is found", () => {
  const first = fragments.find((fragment) => fragment.includes("scope:")) ?? "";
  ok(first !== "");
  const wrong = stringify(put(parse(first.replaceAll("scope:", "scop:")) as Sections, base()));
  ok(said(wrong).some((line) => line.includes("did you mean 'scope'")));
});
