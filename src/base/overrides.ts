/** What a request may ask of its routing by headers, x-sluice-NAME, if its key permits. Leaf; the bits are `1 << place`. */
export const OVERRIDES = ["target", "route", "attempts", "fallback"] as const;
export type Override = (typeof OVERRIDES)[number];
