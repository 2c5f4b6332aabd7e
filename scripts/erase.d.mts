/** Types of what packaging and tests use of erase.mjs. */
export function erasedPath(path: string): string | null;
export function erased(path: string, text: string): string;
export function isErased(root?: string, lib?: string): boolean;
export function erase(root?: string, lib?: string): void;
