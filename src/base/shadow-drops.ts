/** Why a shadow copy is not sent, in the order of their counters; append only. Leaf. */
export const SHADOW_DROPS = ["in_flight", "bytes", "busy", "not_sent", "draining", "upload"] as const;
export type ShadowDrop = (typeof SHADOW_DROPS)[number];
