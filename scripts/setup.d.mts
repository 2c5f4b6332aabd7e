/** Types of what tests use of setup.mjs. */
export function isCurrent(lockText: string, installedText: string | null): boolean;
export function npmCommand(env: Readonly<Record<string, string | undefined>>): string[];
export function withoutNpm(env: Readonly<Record<string, string | undefined>>): Record<string, string>;
