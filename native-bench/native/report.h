// What a run says on stdout: a line per interval and metric, and the summary. Written when everything is over, so that writing
// disturbs nothing that is measured.
#pragma once
#include <vector>

#include "tally.h"
#include "window.h"

namespace bench {

// `tallies`: one per thread. `wall_start_ns`: Unix time of the window's start_ns.
void print_report(const Spec& spec, const Window& window, uint64_t wall_start_ns, const std::vector<const Tally*>& tallies);

}  // namespace bench
