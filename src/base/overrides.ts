/** What a request may ask for by headers, x-sluice-NAME, if its key permits. Leaf; the bits are `1 << place`. */
export const OVERRIDES = ["target", "route", "attempts", "fallback", "strategy", "timeout"] as const;
export type Override = (typeof OVERRIDES)[number];

/** Its header. */
export function overrideHeader(name: Override): string {
  return name === "timeout" ? "x-sluice-timeout-ms" : `x-sluice-${name}`;
}
