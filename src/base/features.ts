/**
 * What a request may ask for that not every model can do. Leaf; the bits are those of native/scan-fields.h, `1 << place`, and of
 * targets and conditions in the snapshot.
 */
export const FEATURES = ["tools", "images", "json_object", "json_schema"] as const;
export type Feature = (typeof FEATURES)[number];

/** All of them. */
export const FEATURES_ALL = (1 << FEATURES.length) - 1;

export function bitsOf(features: readonly Feature[]): number {
  return features.reduce((bits, feature) => bits | (1 << FEATURES.indexOf(feature)), 0);
}
