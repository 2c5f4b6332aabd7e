/** Rows of text in columns. Pure. */

/** The first `left` columns are aligned to the left, the others to the right. */
export function textTable(head: readonly string[], rows: readonly (readonly string[])[], left = 1): string {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => (row[column] ?? "").length)));
  const line = (row: readonly string[]) => widths.map((width, column) => cell(row[column] ?? "", width, column < left));
  return all.map((row) => line(row).join("  ").trimEnd()).join("\n");
}

function cell(text: string, width: number, toLeft: boolean): string {
  return toLeft ? text.padEnd(width) : text.padStart(width);
}
