/** What the file says of fallbacks: targets for failures of a kind, behind those of the model. Supervisor and command line. Pure. */
import { z } from "zod";
import { TARGETS_MAX } from "../base/limits.ts";
import { CHAINS, type ChainName } from "./chains.ts";
import { type Finding, findingAt } from "./finding.ts";
import type { ModelForm, TargetForm } from "./model.ts";
import { mapping } from "./shape.ts";

const MEANINGS: Readonly<Record<ChainName, string>> = {
  connect: "No connection.",
  reset: "The connection ended, or brought no HTTP.",
  timeout: "No answer within timeouts.first_byte, or 408.",
  rate_limit: "Status 429.",
  server_error: "Status 500 and above.",
  credential: "Status 401 and 407.",
  conflict: "Status 409 and 425.",
  context_length: "The prompt is too long for the model, by the code or the words of the error (400, 413, 422).",
  content_filter: "The provider refuses the content, by the code or the words of the error (400, 403).",
  default: "Any failure of a provider without a list of its own; not context_length and content_filter.",
};

/** `target`: the form of one of them. */
export function fallbacksForm<T extends z.ZodType>(target: T) {
  const chain = (name: ChainName) => z.array(target).min(1).max(TARGETS_MAX).optional().describe(MEANINGS[name]);
  const chains = Object.fromEntries(CHAINS.map((name) => [name, chain(name)]));
  return mapping(chains as Record<ChainName, ReturnType<typeof chain>>);
}

/** Targets of the form's fallbacks, each with its place in the model or route. */
export function fallbackForms(
  form: ModelForm,
): readonly { readonly path: readonly PropertyKey[]; readonly target: Pick<TargetForm, "provider" | "model"> }[] {
  const { fallbacks = {} } = form;
  return CHAINS.flatMap((name) =>
    (fallbacks[name] ?? []).map((target, index) => ({ path: ["fallbacks", name, index], target })),
  );
}

/** A request remembers in the bits of one integer where it was. */
export function checkFallbacks(
  alias: string,
  form: ModelForm,
  path: readonly PropertyKey[],
  targets: number,
): readonly Finding[] {
  const names = new Set(fallbackForms(form).map(({ target }) => `${target.provider}\n${target.model ?? alias}`));
  if (form.fallbacks === undefined || targets + names.size <= TARGETS_MAX) return [];
  return [findingAt([...path, "fallbacks"], `a model has at most ${TARGETS_MAX} targets, these included`)];
}
