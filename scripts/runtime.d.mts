/** Types of what benchmarks use of runtime.mjs. */
export const LIB_DIR: string;
export const PROGRAM_FLAGS: readonly string[];
