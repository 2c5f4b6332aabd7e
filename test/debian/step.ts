/** What the test on a real Debian is made of: named steps, in order, each of which says what it found or throws. */
export interface Step {
  readonly name: string;
  /** What it found, for the line that says so. */
  readonly run: () => Promise<string>;
}
