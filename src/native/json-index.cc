// The two implementations of the JSON index, and the choice between them.
#include "json-index.h"

#include <immintrin.h>

#include <memory>

#include "json-escapes.h"
#include "json-steps.h"
#include "simdjson.h"

#define SLUICE_WIDE \
  __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi,bmi2,popcnt,pclmul")))

namespace sluice {
namespace {

// Bytes of a body, of which each may need four here. What a larger body needs is not kept for the ones after it.
constexpr size_t KEPT_CAPACITY = 1024 * 1024;
// One that the piece before left over, two that the walk may read, and a whole step's worth that is written before it is known
// how many of them count.
constexpr size_t SLACK = 1 + 2 + 64;

// Memory for positions. Kept for the next body; only pages that were written take room.
class Positions {
 public:
  // nullptr: there is no memory.
  uint32_t* room_for(size_t bytes) {
    const size_t wanted = bytes > KEPT_CAPACITY ? bytes : KEPT_CAPACITY;
    // More than is kept is given back with the next body that needs less.
    if (bytes <= capacity_ && capacity_ <= wanted) return memory_.get();
    capacity_ = 0;
    memory_.reset();
    memory_.reset(new (std::nothrow) uint32_t[wanted + SLACK]);
    if (memory_ != nullptr) capacity_ = wanted;
    return memory_.get();
  }

 private:
  std::unique_ptr<uint32_t[]> memory_;
  size_t capacity_ = 0;
};

thread_local Positions memory;

JsonIndex failed(Code code, int32_t error_at = -1) {
  JsonIndex index;
  index.code = code;
  index.error_at = error_at;
  return index;
}

// Whether all escapes of `body` are right; else `*index` says which one is not.
bool escapes_valid(const Bytes& body, JsonIndex* index) {
  const uint8_t* end = body.data + body.length;
  const uint8_t* bad = check_escapes(body.data, end);
  if (bad != end) *index = failed(INVALID, static_cast<int32_t>(bad - body.data));
  return bad == end;
}

// By simdjson. Its positions have the beginnings of scalars, too.

using simdjson::internal::dom_parser_implementation;

Code code_of(simdjson::error_code error) {
  switch (error) {
    case simdjson::SUCCESS: return OK;
    case simdjson::UTF8_ERROR: return UTF8;
    case simdjson::MEMALLOC: return MEMORY;
    default: return INVALID;
  }
}

// Keeps its memory by the same rule as Positions.
dom_parser_implementation* parser_for(size_t bytes) {
  static thread_local std::unique_ptr<dom_parser_implementation> parser;
  if (parser == nullptr || parser->capacity() < bytes || (parser->capacity() > KEPT_CAPACITY && bytes <= KEPT_CAPACITY)) {
    parser.reset();
    simdjson::active_implementation->create_dom_parser_implementation(bytes < KEPT_CAPACITY ? KEPT_CAPACITY : bytes, 1, parser);
  }
  return parser.get();
}

JsonIndex index_portable(const Bytes& body) {
  dom_parser_implementation* parser = parser_for(body.length);
  if (parser == nullptr) return failed(MEMORY);
  const Code code = code_of(parser->stage1(body.data, body.length, false));
  JsonIndex index;
  if (code != OK) return failed(code);
  if (!escapes_valid(body, &index)) return index;
  index.code = OK;
  index.positions = parser->structural_indexes.get();
  index.count = parser->n_structural_indexes;
  return index;
}

// By AVX-512. What a step costs is the number of its instructions, so the loop has two forms: one for what nearly every body is,
// compact JSON in which no backslash follows another, and one that takes everything.

// A byte is in the table at its low six bits. The entries are the structural characters, and what may be escaped; `u` is not
// among them, so that the digits behind it are looked at (check_escapes). Quotes and backslashes have masks of their own.
alignas(64) constexpr uint8_t TABLE[64] = {
    0, 0, 0,   0, 0, 0, 0,   0, 0, 0, 0, 0, 0,   0, 0,   0,    // 0x40
    0, 0, 0,   0, 0, 0, 0,   0, 0, 0, 0, '[', 0, ']', 0, 0,    // 0x50
    0, 0, 'b', 0, 0, 0, 'f', 0, 0, 0, 0, 0, ',', 0, 'n', '/',  // 0x20, 0x60
    0, 0, 'r', 0, 't', 0, 0, 0, 0, 0, ':', '{', 0, '}', 0, 0,  // 0x30, 0x70
};
alignas(64) constexpr uint8_t COUNTING[64] = {
    0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
    32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};
// Of the table's entries those may be escaped whose bits 0 and 6 differ: the matrix row that adds the two.
constexpr int64_t DIFFERING_BITS = 0x41;

// Where the loop stands. Masks have a bit per byte of the step.
struct Wide {
  const uint8_t* next;
  uint32_t* positions;
  // Of the body, of the byte at `next`.
  uint32_t offset;
  // All ones: `next` is in a string.
  uint64_t inside;
  // 1: `next` is escaped.
  uint64_t escape;
  // Not 0: an escape that the table does not know; a backslash outside of strings (it would hide a quote from the walk), or a
  // control character in one.
  uint64_t odd_escapes;
  uint64_t misplaced;
  // Smallest of all bytes, signed: below a space for control characters and for what is not ASCII.
  __m512i lowest;
};

// Masks are wanted in general registers; the compiler else moves each of them several times.
#define IN_REGISTER(mask) asm("" : "+r"(mask))

// Stores the offsets of the bits in `found` and returns behind them. Writes up to STEP positions whatever their number is.
SLUICE_WIDE inline uint32_t* store_positions(uint64_t found, __m512i offset, __m512i counting, uint32_t* out) {
  const auto store = [&](int at, __m128i bytes) SLUICE_WIDE {
    _mm512_storeu_si512(out + at, _mm512_add_epi32(offset, _mm512_cvtepu8_epi32(bytes)));
  };
  const auto number = static_cast<uint32_t>(_mm_popcnt_u64(found));
  const __m512i bytes = _mm512_maskz_compress_epi8(found, counting);
  store(0, _mm512_castsi512_si128(bytes));
  if (__builtin_expect(number > 16, 0)) {
    store(16, _mm512_extracti32x4_epi32(bytes, 1));
    if (number > 32) {
      store(32, _mm512_extracti32x4_epi32(bytes, 2));
      store(48, _mm512_extracti32x4_epi32(bytes, 3));
    }
  }
  return out + number;
}

// ANY: takes everything. Else it stops in front of a step that needs that, and does not look where control characters are.
template <bool ANY>
SLUICE_WIDE void index_steps(Wide& wide, const uint8_t* end) {
  const __m512i table = _mm512_load_si512(TABLE);
  const __m512i counting = _mm512_load_si512(COUNTING);
  const __m512i quote = _mm512_set1_epi8('"');
  const __m512i backslash = _mm512_set1_epi8('\\');
  const __m512i space = _mm512_set1_epi8(' ');
  const __m512i differing = _mm512_set1_epi64(DIFFERING_BITS);
  const __m512i step = _mm512_set1_epi32(STEP);
  const __m128i ones = _mm_set1_epi8(-1);
  constexpr uint64_t EVERY_SECOND = 0xaaaaaaaaaaaaaaaa;
  __m512i offset = _mm512_set1_epi32(static_cast<int32_t>(wide.offset));
  const uint8_t* p = wide.next;
  Wide now = wide;
  for (; p != end; p += STEP) {
    const __m512i bytes = _mm512_loadu_si512(p);
    uint64_t backslashes = _mm512_cmpeq_epi8_mask(bytes, backslash);
    uint64_t quotes = _mm512_cmpeq_epi8_mask(bytes, quote);
    uint64_t known = _mm512_cmpeq_epi8_mask(_mm512_permutexvar_epi8(bytes, table), bytes);
    uint64_t escapable = _mm512_movepi8_mask(_mm512_gf2p8affine_epi64_epi8(bytes, differing, 0));
    IN_REGISTER(backslashes);
    IN_REGISTER(quotes);
    IN_REGISTER(known);
    IN_REGISTER(escapable);
    uint64_t escaped;
    if (ANY) {
      // A run of backslashes escapes every second byte from its beginning on; the subtraction carries along the run.
      const uint64_t starts = backslashes & ~now.escape;
      const uint64_t run = (((starts << 1) | EVERY_SECOND) - starts) ^ EVERY_SECOND;
      escaped = run ^ (backslashes | now.escape);
      now.escape = (run & backslashes) >> 63;
      now.odd_escapes |= escaped & ~((known & escapable) | quotes | backslashes);
    } else {
      escaped = (backslashes << 1) | now.escape;
      if (escaped & ~((known & escapable) | quotes)) break;
      now.escape = backslashes >> 63;
    }
    now.lowest = _mm512_min_epi8(now.lowest, bytes);
    quotes &= ~escaped;
    // From each opening quote up to its closing one: each bit is the parity of the quotes up to it.
    const __m128i parity = _mm_clmulepi64_si128(_mm_cvtsi64_si128(static_cast<int64_t>(quotes)), ones, 0);
    const uint64_t strings = static_cast<uint64_t>(_mm_cvtsi128_si64(parity)) ^ now.inside;
    now.inside = static_cast<uint64_t>(static_cast<int64_t>(strings) >> 63);
    now.misplaced |= backslashes & ~strings;
    if (ANY) now.misplaced |= strings & _mm512_cmplt_epu8_mask(bytes, space);
    const uint64_t found = (known & ~escapable & ~strings) | (quotes & strings);
    now.positions = store_positions(found, offset, counting, now.positions);
    offset = _mm512_add_epi32(offset, step);
  }
  now.offset += static_cast<uint32_t>(p - now.next);
  now.next = p;
  wide = now;
}

// What is left of the body after the last whole step, with spaces behind it.
SLUICE_WIDE void load_rest(const uint8_t* rest, size_t bytes, uint8_t* block) {
  const __mmask64 there = (uint64_t{1} << bytes) - 1;
  _mm512_store_si512(block, _mm512_mask_loadu_epi8(_mm512_set1_epi8(' '), there, rest));
}

template <bool ANY>
SLUICE_WIDE void index_body(Wide& wide, const Bytes& body) {
  const size_t rest = body.length % STEP;
  const uint8_t* end = body.data + (body.length - rest);
  index_steps<ANY>(wide, end);
  if (wide.next != end) index_steps<true>(wide, end);
  if (rest == 0) return;
  alignas(64) uint8_t block[STEP];
  load_rest(wide.next, rest, block);
  wide.next = block;
  index_steps<true>(wide, block + STEP);
}

SLUICE_WIDE bool has_controls(const uint8_t* p, size_t bytes) {
  const __m512i space = _mm512_set1_epi8(' ');
  __m512i least = space;
  for (; bytes >= STEP; p += STEP, bytes -= STEP) least = _mm512_min_epu8(least, _mm512_loadu_si512(p));
  least = _mm512_min_epu8(least, _mm512_mask_loadu_epi8(space, (uint64_t{1} << bytes) - 1, p));
  return _mm512_cmplt_epu8_mask(least, space) != 0;
}

template <bool ANY>
SLUICE_WIDE Wide indexed(const Bytes& body, uint32_t* positions) {
  Wide wide{body.data, positions, 0, 0, 0, 0, 0, _mm512_set1_epi8(INT8_MAX)};
  index_body<ANY>(wide, body);
  return wide;
}

SLUICE_WIDE JsonIndex index_wide(const Bytes& body) {
  uint32_t* positions = memory.room_for(body.length);
  if (positions == nullptr) return failed(MEMORY);
  // JSON with white space between its lines shows it at its beginning.
  const bool lines = has_controls(body.data, body.length < STEP ? body.length : STEP);
  Wide wide = lines ? indexed<true>(body, positions) : indexed<false>(body, positions);
  const bool unusual = _mm512_cmplt_epi8_mask(wide.lowest, _mm512_set1_epi8(' ')) != 0;
  if (unusual && !lines && has_controls(body.data, body.length)) wide = indexed<true>(body, positions);
  if ((wide.inside | wide.escape | wide.misplaced) != 0) return failed(INVALID);
  if (unusual && !simdjson::active_implementation->validate_utf8(reinterpret_cast<const char*>(body.data), body.length)) {
    return failed(UTF8);
  }
  JsonIndex index;
  if (wide.odd_escapes != 0 && !escapes_valid(body, &index)) return index;
  index.code = OK;
  index.positions = positions;
  index.count = static_cast<uint32_t>(wide.positions - positions);
  return index;
}

// Pieces.

SLUICE_WIDE Steps steps_wide(IndexPlace& place, const Bytes& piece, uint32_t* positions) {
  if (place.indexed == 0) place.lines = has_controls(piece.data, piece.length < STEP ? piece.length : STEP);
  const Wide begin{piece.data, positions, static_cast<uint32_t>(place.indexed), place.inside, place.escape, 0, 0,
                   _mm512_set1_epi8(INT8_MAX)};
  Wide wide = begin;
  place.lines ? index_body<true>(wide, piece) : index_body<false>(wide, piece);
  const bool unusual = _mm512_cmplt_epi8_mask(wide.lowest, _mm512_set1_epi8(' ')) != 0;
  if (unusual && !place.lines && has_controls(piece.data, piece.length)) {
    place.lines = true;
    wide = begin;
    index_body<true>(wide, piece);
  }
  place.inside = wide.inside;
  place.escape = wide.escape;
  return {wide.positions, wide.misplaced != 0, wide.odd_escapes != 0, unusual};
}

// Behind the last whole character of [from, to).
size_t whole_characters(const uint8_t* body, size_t from, size_t to) {
  for (size_t back = 1; back <= 3 && to - back >= from && to >= back; back++) {
    const uint8_t c = body[to - back];
    if ((c & 0xc0) == 0x80) continue;
    const size_t bytes = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
    return bytes > back ? to - back : to;
  }
  return to;
}

// A character that the piece does not end is looked at with the next one.
bool characters_valid(IndexPlace& place, const uint8_t* body, size_t end, bool last) {
  const size_t from = place.characters;
  place.characters = last ? end : whole_characters(body, from, end);
  const char* text = reinterpret_cast<const char*>(body + from);
  return simdjson::active_implementation->validate_utf8(text, place.characters - from);
}

constexpr size_t ESCAPE_LENGTH_MAX = 6;

// The same for escapes.
bool piece_escapes_valid(IndexPlace& place, const uint8_t* body, size_t end, bool last, JsonIndex* index) {
  const uint8_t* bad = check_escapes(body + place.escapes, body + end);
  place.escapes = static_cast<size_t>(bad - body);
  if (place.escapes == end || (!last && end - place.escapes < ESCAPE_LENGTH_MAX)) return true;
  *index = failed(INVALID, static_cast<int32_t>(place.escapes));
  return false;
}

JsonIndex checked_piece(IndexPlace& place, const Steps& steps, const uint8_t* body, size_t from, bool last) {
  const size_t end = place.indexed;
  if (steps.misplaced || (last && (place.inside | place.escape) != 0)) return failed(INVALID);
  if (!steps.beyond_ascii && place.characters == from) {
    place.characters = end;
  } else if (!characters_valid(place, body, end, last)) {
    return failed(UTF8);
  }
  JsonIndex index;
  if (!steps.odd_escapes && place.escapes == from) {
    place.escapes = end - (place.escape & 1);
  } else if (!piece_escapes_valid(place, body, end, last, &index)) {
    return index;
  }
  index.code = OK;
  return index;
}

bool cpu_is_wide() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("gfni") &&
         __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt") &&
         __builtin_cpu_supports("pclmul");
}

const bool WIDE = cpu_is_wide();

}  // namespace

bool has_wide_index() { return WIDE; }

JsonIndex index_piece(IndexPlace& place, const Bytes& body, bool last, bool portable) {
  const size_t from = place.indexed;
  const size_t bytes = last ? body.length - from : (body.length - from) / STEP * STEP;
  uint32_t* positions = memory.room_for(bytes);
  if (positions == nullptr) return failed(MEMORY);
  const bool waited = place.waiting != NOWHERE;
  positions[0] = place.waiting;
  const Bytes piece{body.data + from, bytes};
  const auto steps = WIDE && !portable ? steps_wide(place, piece, positions + waited) : steps_portable(place, piece, positions + waited);
  place.indexed = from + bytes;
  JsonIndex index = checked_piece(place, steps, body.data, from, last);
  index.positions = positions;
  index.count = static_cast<uint32_t>(steps.positions - positions);
  return index;
}

void IndexPlace::shift(size_t from, ptrdiff_t delta) {
  for (size_t* offset : {&indexed, &characters, &escapes}) {
    if (*offset >= from) *offset += static_cast<size_t>(delta);
  }
  if (waiting != NOWHERE && waiting >= from) waiting += static_cast<uint32_t>(delta);
}

JsonIndex index_json(const Bytes& body, bool portable) {
  return WIDE && !portable ? index_wide(body) : index_portable(body);
}

}  // namespace sluice
