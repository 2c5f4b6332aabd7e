/** Spans of time as people read them. Leaf; any thread. */

const MS_PER_S = 1_000;
const S_PER_MIN = 60;
const MIN_PER_H = 60;

/** "20ms", "1.5s", "6m0s", "1h0m30s", as OpenAI writes spans of time. */
export function spanText(ms: number): string {
  if (ms < MS_PER_S) return `${Math.ceil(ms)}ms`;
  const tenths = Math.ceil(ms / 100) / 10;
  if (tenths < S_PER_MIN) return `${tenths}s`;
  const seconds = Math.ceil(ms / MS_PER_S);
  const minutes = Math.floor(seconds / S_PER_MIN);
  const rest = `${minutes % MIN_PER_H}m${seconds % S_PER_MIN}s`;
  return minutes < MIN_PER_H ? rest : `${Math.floor(minutes / MIN_PER_H)}h${rest}`;
}
