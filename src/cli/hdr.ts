/** `sluice hdr`: latency histograms in the files of HdrHistogram. Each subcommand is a file. */
import { Command } from "commander";
import { diffCommand } from "./hdr-diff.ts";
import { mergeCommand } from "./hdr-merge.ts";
import { plotCommand } from "./hdr-plot.ts";
import { showCommand } from "./hdr-show.ts";

export function hdrCommand(): Command {
  const hdr = new Command("hdr").description("latency histograms (.hlog): show, merge, diff, plot");
  for (const command of [showCommand(), mergeCommand(), diffCommand(), plotCommand()]) hdr.addCommand(command);
  return hdr;
}
