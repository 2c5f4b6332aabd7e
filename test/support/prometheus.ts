/** Reads the Prometheus text format, as far as tests ask for it. Pure. */

export type Labels = Readonly<Record<string, string>>;

interface Sample {
  readonly name: string;
  readonly labels: Labels;
  readonly value: number;
}

/** The samples of a page. */
export function parseMetrics(text: string): Sample[] {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return lines.map(parseSample);
}

/** Sum of the samples with this name and these labels; undefined: there are none. */
export function sumOf(samples: readonly Sample[], name: string, labels: Labels): number | undefined {
  const wanted = Object.entries(labels);
  const matching = samples.filter((sample) => sample.name === name && wanted.every(([k, v]) => sample.labels[k] === v));
  return matching.length === 0 ? undefined : matching.reduce((sum, sample) => sum + sample.value, 0);
}

function parseSample(line: string): Sample {
  const match = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)/.exec(line);
  if (match === null) throw new Error(`not a Prometheus sample: ${line}`);
  const pairs = (match[2] ?? "").matchAll(/([a-zA-Z0-9_]+)="((?:[^"\\]|\\.)*)"/g);
  const labels = Object.fromEntries(Array.from(pairs, ([, key = "", value = ""]) => [key, value]));
  return { name: match[1] ?? "", labels, value: Number(match[3]) };
}
