/**
 * The configuration as data: every setting of the schema with what it expects, its default and what it is for. Packaging.
 * Walks the schema that reads the file, so nothing here can be out of date.
 */
import type { z } from "zod";
import { durationText, sizeText } from "../../src/config/scalar.ts";
import { FORM } from "../../src/config/schema.ts";

export interface Setting {
  /** ["providers", "NAME", "base_url"]; a list's entries are "-". */
  readonly path: readonly string[];
  readonly description: string;
  /** What its text looks like; null: it is a section. */
  readonly expects: string | null;
  readonly byDefault: string | null;
  readonly required: boolean;
}

interface Facts {
  readonly description: string;
  readonly expects: string | null;
  readonly byDefault: string | null;
  readonly required: boolean;
}

/** Every schema that zod has is one of these (zod.dev/library-authors). */
type Schema = z.core.$ZodTypes;

const NO_FACTS: Facts = { description: "", expects: null, byDefault: null, required: true };

export function settings(): readonly Setting[] {
  return merged(children(FORM as unknown as Schema, []));
}

/** A key that two kinds of provider have is one setting. */
function merged(list: readonly Setting[]): readonly Setting[] {
  const byPath = new Map<string, Setting>();
  for (const setting of list) {
    const key = setting.path.join("\0");
    const first = byPath.get(key);
    byPath.set(key, first === undefined ? setting : both(first, setting));
  }
  return [...byPath.values()];
}

function both(a: Setting, b: Setting): Setting {
  return {
    ...a,
    description: `${a.description} ${b.expects}: ${b.description}`,
    expects: `${a.expects}, ${b.expects}`,
    required: false,
  };
}

/** What stands below a schema, already without its wrappers. */
function children(schema: Schema, path: readonly string[]): readonly Setting[] {
  const { def } = schema._zod;
  switch (def.type) {
    case "object":
      return Object.entries(def.shape).flatMap(([key, value]) => settingsAt(value as Schema, [...path, key]));
    case "record":
      return children(unwrapped(def.valueType as Schema, NO_FACTS).schema, [...path, "NAME"]);
    case "array":
      return children(unwrapped(def.element as Schema, NO_FACTS).schema, [...path, "-"]);
    case "union":
      return def.options.flatMap((option) => children(unwrapped(option as Schema, NO_FACTS).schema, path));
    default:
      return [];
  }
}

function settingsAt(value: Schema, path: readonly string[]): readonly Setting[] {
  const { schema, facts } = unwrapped(value, NO_FACTS);
  const below = facts.expects === null ? children(schema, path) : [];
  const expects = facts.expects ?? (below.length > 0 ? null : choices(schema));
  return [{ ...facts, path, expects }, ...below];
}

/** The schema that says what is inside, and what its wrappers say; the outermost wins. */
function unwrapped(value: Schema, before: Facts): { readonly schema: Schema; readonly facts: Facts } {
  const { def } = value._zod;
  const facts = withMeta(before, value);
  switch (def.type) {
    case "optional":
      return unwrapped(def.innerType as Schema, { ...facts, required: false });
    case "prefault":
      return unwrapped(def.innerType as Schema, { ...facts, required: false });
    case "default": {
      const inner = unwrapped(def.innerType as Schema, { ...facts, required: false });
      return { ...inner, facts: { ...inner.facts, byDefault: defaultText(def.defaultValue, inner.facts.expects) } };
    }
    case "pipe":
      // What is made out of the file's value before it is read does not show; what is made of a text does not either.
      return unwrapped((def.in._zod.def.type === "transform" ? def.out : def.in) as Schema, facts);
    default:
      return { schema: value, facts };
  }
}

function withMeta(facts: Facts, value: Schema): Facts {
  const meta = (value as unknown as z.ZodType).meta();
  const [description, expects] = [meta?.description, meta?.["expects"]];
  return {
    ...facts,
    description: facts.description === "" ? (description ?? "") : facts.description,
    expects: facts.expects ?? (typeof expects === "string" ? expects : null),
  };
}

function choices(schema: Schema): string | null {
  const { def } = schema._zod;
  if (def.type === "enum") return Object.values(def.entries).join(", ");
  return def.type === "literal" ? def.values.join(", ") : null;
}

function defaultText(value: unknown, expects: string | null): string {
  if (value === null) return "auto";
  if (expects === "duration") return durationText(Number(value));
  if (expects === "size") return sizeText(Number(value));
  if (typeof value === "object" && "host" in value && "port" in value) return `${value.host}:${value.port}`;
  return String(value);
}
