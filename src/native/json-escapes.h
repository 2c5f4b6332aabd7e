// Escapes in JSON strings (RFC 8259 section 7), checked for a whole body at once and not string by string: a backslash outside of a
// string fails in the walk anyway.
#pragma once
#include <cstddef>
#include <cstdint>

namespace sluice {

// Value of four hex digits at `p`, or -1.
int hex4(const uint8_t* p, const uint8_t* end);

// The backslash of the first bad escape, or `end`.
const uint8_t* check_escapes(const uint8_t* start, const uint8_t* end);

}  // namespace sluice
