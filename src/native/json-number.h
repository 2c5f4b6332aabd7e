// Numbers of JSON (RFC 8259 section 6), at once and in pieces.
#pragma once
#include <cstddef>
#include <cstdint>

namespace sluice {

inline bool is_digit(uint8_t c) { return c >= '0' && c <= '9'; }

inline const uint8_t* skip_digits(const uint8_t* p, const uint8_t* end) {
  while (p < end && is_digit(*p)) p++;
  return p;
}

// The whole of [p, end) must be one number.
inline bool number_valid(const uint8_t* p, const uint8_t* end) {
  if (p < end && *p == '-') p++;
  if (p == end || !is_digit(*p)) return false;
  p = *p == '0' ? p + 1 : skip_digits(p, end);
  if (p < end && *p == '.') {
    const uint8_t* digits = p + 1;
    p = skip_digits(digits, end);
    if (p == digits) return false;
  }
  if (p < end && (*p | 0x20) == 'e') {
    p++;
    if (p < end && (*p == '+' || *p == '-')) p++;
    const uint8_t* digits = p;
    p = skip_digits(digits, end);
    if (p == digits) return false;
  }
  return p == end;
}

// The same of a number that comes in pieces, so that a long one is looked at once, and not all of it at its end.
struct NumberFollower {
  enum Part : uint8_t { START, MINUS, ZERO, WHOLE, POINT, FRACTION, E, E_SIGN, EXPONENT, WRONG };

  // Offsets into the body, of its beginning and of what is read next.
  size_t from = 0;
  size_t next = 0;
  Part part = START;

  // What there is up to `end` of the number that begins at `start`.
  void read(const uint8_t* body, size_t start, size_t end) {
    if (start != from) {
      from = next = start;
      part = START;
    }
    for (; next < end; next++) part = behind(body[next]);
  }

  bool valid() const { return part == ZERO || part == WHOLE || part == FRACTION || part == EXPONENT; }

 private:
  Part behind(uint8_t c) const {
    const bool digit = is_digit(c);
    const Part exponent = (c | 0x20) == 'e' ? E : WRONG;
    switch (part) {
      case START: return c == '-' ? MINUS : first_digit(c);
      case MINUS: return first_digit(c);
      case ZERO: return c == '.' ? POINT : exponent;
      case WHOLE: return digit ? WHOLE : c == '.' ? POINT : exponent;
      case POINT: return digit ? FRACTION : WRONG;
      case FRACTION: return digit ? FRACTION : exponent;
      case E: return c == '+' || c == '-' ? E_SIGN : digit ? EXPONENT : WRONG;
      case E_SIGN:
      case EXPONENT: return digit ? EXPONENT : WRONG;
      case WRONG: return WRONG;
    }
    return WRONG;
  }

  static Part first_digit(uint8_t c) { return c == '0' ? ZERO : is_digit(c) ? WHOLE : WRONG; }
};

}  // namespace sluice
