/** Both transports, by the names that the configuration has for them. */
export const TRANSPORTS = ["native", "undici"] as const;
export type TransportKind = (typeof TRANSPORTS)[number];
