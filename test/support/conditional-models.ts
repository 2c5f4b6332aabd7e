/** Models whose routes and targets refuse some requests, and requests that they refuse. */
import { hashOf, KEY, type KeyForm, type ModelForm } from "./config.ts";

export const CONDITIONAL_KEYS: readonly KeyForm[] = [
  { name: "default", hash: hashOf(KEY), overrides: ["attempts", "fallback"] },
];

export const CONDITIONAL_MODELS: Readonly<Record<string, ModelForm>> = {
  gold: { routes: [{ name: "only", when: { header: { "x-tier": "gold" } }, provider: "mock" }] },
  small: { provider: "mock", context_window: 100 },
  plain: {
    targets: [
      { provider: "mock", supports: [] },
      { provider: "mock", model: "plainer", supports: ["json_object"] },
    ],
  },
};

export interface RefusedRequest {
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
}

function body(model: string, fields: object): string {
  return JSON.stringify({ model, messages: [{ role: "user", content: "Hello" }], ...fields });
}

const TOOLS = [{ type: "function", function: { name: "f", parameters: {} } }];

/** By the name of the row that refuses them. */
export const REFUSED_REQUESTS = {
  noRoute: { body: body("gold", {}), headers: {} },
  contextTooLong: { body: body("small", { max_tokens: 100 }), headers: {} },
  unsupported: { body: body("plain", { tools: TOOLS }), headers: {} },
  overrideNotAllowed: { body: body("small", {}), headers: { "x-sluice-target": "mock/small" } },
  overrideInvalid: { body: body("small", {}), headers: { "x-sluice-attempts": "0" } },
} as const satisfies Readonly<Record<string, RefusedRequest>>;
