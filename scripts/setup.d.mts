/** Types of what tests and benchmarks use of setup.mjs. */
export function setup(): void;
export function isCurrent(lockText: string, installedText: string | null): boolean;
export function npmCommand(env: Readonly<Record<string, string | undefined>>): string[];
export function withoutNpm(env: Readonly<Record<string, string | undefined>>): Record<string, string>;
