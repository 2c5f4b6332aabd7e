/** A heading and rows under it, in columns, as subcommands print them. Command line. Pure. */

/** Entries of one section that are listed; further ones are counted. */
const LISTED_MAX = 50;

export function section(heading: string, rows: readonly (readonly string[])[]): readonly string[] {
  if (rows.length === 0) return [`${heading.padEnd(12)} none`];
  const listed = rows.slice(0, LISTED_MAX);
  const widths = (listed[0] ?? []).map((_, column) => Math.max(...listed.map((row) => (row[column] ?? "").length)));
  const lines = listed.map((row) =>
    `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ")}`.trimEnd(),
  );
  return [heading, ...lines, ...(rows.length > listed.length ? [`  and ${rows.length - listed.length} more`] : [])];
}
