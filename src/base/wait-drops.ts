/**
 * Why a request that could have waited for a rate limit was not admitted: the labels of sluice_limit_queue_dropped_total, in the order of
 * their counters. New ones are added at the end.
 */
export const WAIT_DROPS = [
  /** As many wait as may. */
  "full",
  /** It waited as long as it may, or there is no room before. */
  "deadline",
  "client_gone",
  /** While it waited the gateway ended, or its target. */
  "ended",
] as const;

export type WaitDrop = (typeof WAIT_DROPS)[number];
