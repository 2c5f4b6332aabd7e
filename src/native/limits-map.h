// The state of limits, shared by all workers of all generations: one mapped file, of which this is the only reader and writer.
// A map belongs to one thread of a process; what it shares is in the file.
//
// <dataDir>/limits.map, in the byte order of the machine
//
//        0  magic u32    4 version u32    8 buckets u32   12 leases u32   16 ready u32
//       24  secret, 16 random bytes                       40 boot id of the kernel, 16 bytes
//       64  the lock: pthread_mutex_t, shared and robust  (a cache line of its own)
//      128  offset i64, last i64                          limits' time is CLOCK_BOOTTIME + offset, nanoseconds since 1970
//      144  serial u32   148 first free lease u32   152 leases ever used u32   156 the next one to look at u32
//      160  locks recovered u64   168 buckets reclaimed u64   176 claims without a place u64   184 leases expired u64
//     1024  pid of the worker in each slot, u32, SLOTS of them
//     4096  bucket 0: 64 bytes      BUCKETS of them, in sets of WAYS; a tag may stand in two sets
//      ...  lease 0: 32 bytes       LEASES of them
//
// All of it is read and written under the lock. A process that is killed while it holds the lock leaves at most the charges of one
// request written in part: the next one that takes the lock is told, and counts what is held anew from the leases. A bucket's
// tag never moves, so nothing is lost in between. Limits' time never goes back: wall-clock steps forward are taken at the
// next tick, steps back are not, and between ticks it runs with CLOCK_BOOTTIME.
#pragma once
#include <pthread.h>

#include <cstdint>
#include <string>

#include "key-tags.h"

namespace sluice {

enum class BucketKind : uint32_t { FREE = 0, RATE = 1, WINDOW = 2, HELD = 3, BUDGET = 4, TALLY = 5, LEARNED = 6 };

struct Bucket {
  Tag tag;
  BucketKind kind;
  // Of the map when it was last asked for: what one request claims is not reclaimed for another of its limits.
  uint32_t serial;
  union {
    // RATE: when it will be full again, as nanoseconds and a fraction in 2^-32. The fraction is stored first: a store that is
    // interrupted in between is wrong by less than a nanosecond. `unit`: by how much of it one unit moves that, 96 bits; 0: not known.
    struct {
      int64_t full_at_ns;
      uint32_t full_at_fraction;
      uint32_t unit_high;
      uint64_t unit_low;
    } rate;
    // WINDOW: what was used since `start`.
    struct {
      int64_t start_ns;
      int64_t period_ns;
      int64_t used;
    } window;
    // BUDGET: what was spent since `start`, with what is reserved. `alerted`: bits of the thresholds that were told of.
    struct {
      int64_t start_ns;
      uint32_t period_s;
      uint32_t alerted;
      int64_t used;
    } budget;
    // HELD: the sum of its leases.
    struct {
      int64_t amount;
    } held;
    // LEARNED: what a worker knows from experience, for those after it.
    struct {
      double value;
    } learned;
    // TALLY: of one limit, for metrics.
    struct {
      uint64_t rejected;
      uint64_t observed;
      uint64_t unplaced;
    } tally;
  };
  // When it was asked for last. BUDGET: the largest limit that `alerted` is of.
  int64_t touched_ns;
  // BUDGET: the part of `used` that is over and known. TALLY: alerts. RATE: since when it was never full, nanoseconds.
  int64_t settled;
};
static_assert(sizeof(Bucket) == 64);
// Of a budget that never begins anew.
constexpr uint32_t ENDLESS_S = UINT32_MAX;

struct Lease {
  // Slot of the worker plus one; 0: free. Stored last.
  uint16_t owner;
  uint16_t unused;
  // Grows with every use of this place.
  uint32_t serial;
  uint32_t bucket;
  uint32_t next_free;
  int64_t amount;
  int64_t deadline_ns;
};
static_assert(sizeof(Lease) == 32);

class LimitsMap {
 public:
  static constexpr uint32_t SLOTS = 256;
  static constexpr uint32_t BUCKETS = 65536;
  static constexpr uint32_t LEASES = 65536;
  static constexpr uint32_t WAYS = 8;
  static constexpr uint32_t NONE = UINT32_MAX;

  enum class Opened { ADOPTED = 0, MADE = 1, FOREIGN = 2 };

  ~LimitsMap();

  // Makes the file, or takes what is there. FOREIGN: of another layout, nothing is changed. Only one process at a time may do
  // this; after a boot nobody else can have the map open. False and errno: it failed.
  bool prepare(const char* path, Opened* out);
  // Maps what prepare() made; FOREIGN: it did not.
  bool attach(const char* path, Opened* out);

  bool is_open() const { return header_ != nullptr; }
  SipHash hash() const { return SipHash(header_->secret[0], header_->secret[1]); }

  // False: it could not be had in time, because its holder stands still.
  bool lock() { return lock(LOCK_NS_MAX); }
  // The same for what is done once, and has to be done: where others take it again and again, it may take its time.
  bool lock_patiently() { return lock(10 * LOCK_NS_MAX); }
  void unlock();

  // For tests: the time stands at this; below 0: it runs.
  void hold_time(int64_t ns) { held_ns_ = ns; }

  // Everything below: with the lock held.

  int64_t now_ns() const;
  // Takes steps of the wall clock, and gives some leases back whose deadline has passed.
  void tick();

  // Begins an operation: what it claims from here on stays claimed until the next one.
  void begin() { header_->serial++; }
  // Where the tag has its bucket; NONE: nowhere.
  uint32_t find(const Tag& tag);
  // The same, where it was at `place` before.
  uint32_t find(const Tag& tag, uint32_t place) { return is_at(place, tag) ? place : find(tag); }
  // It will be asked for.
  void fetch(uint32_t place) const { __builtin_prefetch(&buckets_[place], 1); }
  // The same, making one where there is room, or one that nobody misses. NONE: there is none.
  // `place`: where it may have been before.
  // `spared`: so many places of a set stay free for others.
  uint32_t claim(const Tag& tag, BucketKind kind, int64_t now, uint32_t place = 0, uint32_t spared = 0);
  Bucket& bucket(uint32_t place) { return buckets_[place]; }

  // NONE: all are taken.
  uint32_t take_lease(uint32_t slot, uint32_t place, int64_t amount, int64_t deadline_ns);
  uint32_t lease_serial(uint32_t lease) const { return leases_[lease].serial; }
  bool lease_room() const;
  // Nothing happens if the lease has expired meanwhile.
  void return_lease(uint32_t lease, uint32_t serial);

  // This process is the worker of `slot` from now on: what an earlier one held comes back.
  void take_slot(uint32_t slot, uint32_t pid);
  // The worker `pid` is dead, or whoever had the slot (0). Nothing happens if another one has it by now.
  void leave_slot(uint32_t slot, uint32_t pid);

  struct Header;
  const Header& header() const { return *header_; }

  struct Header {
    uint32_t magic, version, buckets, leases, ready, unused;
    uint64_t secret[2];
    uint8_t boot_id[16];
    uint64_t padding;
    union {
      pthread_mutex_t mutex;
      uint8_t line[64];
    };
    int64_t offset_ns, last_ns;
    uint32_t serial, free_lease, leases_used, look_at;
    uint64_t recoveries, reclaimed, unplaced, expired;
  };

 private:
  // Its holder does less than a microsecond of work, unless it was stopped or had to give the CPU away.
  static constexpr int64_t LOCK_NS_MAX = 200'000'000;

  bool lock(int64_t most_ns);
  bool map(const char* path, bool create);
  void unmap();
  void make();
  void begin_boot(const uint8_t* boot_id);
  void make_lock();
  void count_held();
  void free_lease(uint32_t lease);
  void drop_leases(uint32_t slot);
  uint32_t set_of(uint64_t word) const { return static_cast<uint32_t>(word) % (BUCKETS / WAYS) * WAYS; }
  uint32_t find_in(uint32_t set, const Tag& tag) const;
  bool idle(const Bucket& one, int64_t now) const;
  bool is_at(uint32_t place, const Tag& tag) const {
    const Bucket& one = buckets_[place];
    return ((one.tag.low ^ tag.low) | (one.tag.high ^ tag.high)) == 0 && one.kind != BucketKind::FREE;
  }

  Header* header_ = nullptr;
  uint32_t* pids_ = nullptr;
  Bucket* buckets_ = nullptr;
  Lease* leases_ = nullptr;
  int64_t held_ns_ = -1;
  // Places of tags that were found before; checked, so that a wrong one only costs time.
  static constexpr uint32_t HINTS = 4096;
  uint32_t hints_[HINTS] = {};
};

}  // namespace sluice
