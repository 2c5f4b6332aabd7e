/** A manual page as lines of man(7). Packaging. Pure. What must hold: no text can become a request or an escape. */

export class Page {
  readonly #lines: string[] = [];

  /** `date`: ISO, so that a build does not depend on the day. */
  constructor(name: string, section: number, date: string, source: string, manual: string) {
    const fields = [name.toUpperCase(), String(section), date, source, manual];
    this.#lines.push(".nh", ".ad l", `.TH ${fields.map(argument).join(" ")}`);
  }

  section(title: string): void {
    this.#lines.push(`.SH ${argument(title)}`);
  }

  subsection(title: string): void {
    this.#lines.push(`.SS ${argument(title)}`);
  }

  paragraph(text: string): void {
    this.#lines.push(".PP", escaped(text));
  }

  /** A term, bold, with its explanation. */
  item(term: string, text: string): void {
    this.#lines.push(".TP", `\\fB${escaped(term)}\\fR`, escaped(text));
  }

  /** Lines as they are. */
  verbatim(text: string): void {
    this.#lines.push(".PP", ".in +4n", ".nf", ...text.split("\n").map(escaped), ".fi", ".in");
  }

  toString(): string {
    return `${this.#lines.join("\n")}\n`;
  }
}

function escaped(text: string): string {
  const plain = text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replaceAll("'", "\\(aq")
    .replaceAll("^", "\\(ha")
    .replaceAll("~", "\\(ti");
  return plain.startsWith(".") ? `\\&${plain}` : plain;
}

function argument(text: string): string {
  return `"${escaped(text).replaceAll('"', "\\(dq")}"`;
}
