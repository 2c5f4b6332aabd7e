/** What Sluice's processes are started with besides what they always are: a profiler, a burden. */
import type { Runtime } from "../contestants/sluice.ts";
import type { Options } from "./options.ts";
import { profileOptions } from "./profile.ts";

const BURDEN = new URL("../burden.ts", import.meta.url);

/** Both reach the gateway workers by NODE_OPTIONS, which the supervisor passes on. */
export function sluiceRuntime({ burdenUs, profile }: Pick<Options, "burdenUs" | "profile">): Runtime {
  const flags = [
    ...(burdenUs > 0 ? [`--import=${BURDEN.href}?us=${burdenUs}`] : []),
    ...(profile === "" ? [] : [profileOptions(profile)]),
  ];
  return { command: process.execPath, env: flags.length === 0 ? {} : { NODE_OPTIONS: flags.join(" ") } };
}
