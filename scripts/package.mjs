/** `npm run package`: sets the tree up and becomes packaging/package.ts, which builds the Debian package in dist/. Any Node from 18 on. */
import { join } from "node:path";
import process from "node:process";
import { become, ROOT } from "./runtime.mjs";
import { orFail, setup } from "./setup.mjs";

orFail(() => {
  setup();
  become([join(ROOT, "packaging", "package.ts"), ...process.argv.slice(2)]);
});
