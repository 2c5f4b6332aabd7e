/** What the request scan costs over JSON.parse, on realistic chat bodies of four sizes and three shapes. */
import { JSON_DEPTH_DEFAULT } from "../../src/base/limits.ts";
import { RequestScan, SCAN_OK } from "../../src/providers/request-scan.ts";
import { chatBody, type Shape } from "../chat-body.ts";
import { compare } from "./contest.ts";

const SIZES = [300, 4_096, 65_536, 1_048_576];
const SHAPES: readonly Shape[] = ["conversation", "unicode", "tools"];
const FIELDS = ["reasoning_effort", "service_tier"];
const scan = new RequestScan();
/** As CPUs without AVX-512 have it. */
const portable = new RequestScan(true);

for (const shape of SHAPES) {
  for (const size of SIZES) {
    const body = chatBody("gpt-4o", size, shape);
    const text = body.toString();
    if (scan.scan(body, JSON_DEPTH_DEFAULT) !== SCAN_OK) throw new Error("the body is not accepted");
    compare(`${shape}, ${body.length} bytes`, "JSON.parse(buffer.toString())", {
      scan: () => scan.scan(body, JSON_DEPTH_DEFAULT),
      // With conditions on two fields of bodies, or capabilities of targets.
      "scan that looks for more": () => scan.scanFor(FIELDS, body, JSON_DEPTH_DEFAULT),
      "scan, portable": () => portable.scan(body, JSON_DEPTH_DEFAULT),
      // What a gateway pays that parses what it received; and without what the string costs.
      "JSON.parse(buffer.toString())": () => JSON.parse(body.toString()),
      "JSON.parse(string)": () => JSON.parse(text),
    });
  }
}
