/** The corpora beside the checkout, used where that folder is there: tests pass without it, over nothing. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const CORPUS = fileURLToPath(new URL("../../../shared/corpus/", import.meta.url));

export interface CorpusFile {
  readonly name: string;
  readonly bytes: Buffer;
}

/** All files below `folder` of the corpora whose name ends in `ending`. */
export function corpusFiles(folder: string, ending: string): CorpusFile[] {
  const root = join(CORPUS, folder);
  const names = statSync(root, { throwIfNoEntry: false })
    ? readdirSync(root, { recursive: true, encoding: "utf8" })
    : [];
  return names.filter((name) => name.endsWith(ending)).map((name) => ({ name, bytes: readFileSync(join(root, name)) }));
}
