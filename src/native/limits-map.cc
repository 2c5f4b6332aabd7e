#include "limits-map.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <ctime>

namespace sluice {
namespace {

// "SLLM"
constexpr uint32_t MAGIC = 0x4d4c4c53;
constexpr uint32_t VERSION = 2;
constexpr size_t PAGE = 4096;
constexpr size_t PIDS_AT = 1024;
constexpr size_t LEASES_AT = PAGE + size_t{LimitsMap::BUCKETS} * sizeof(Bucket);
constexpr size_t FILE_BYTES = LEASES_AT + size_t{LimitsMap::LEASES} * sizeof(Lease);

constexpr int64_t SECOND_NS = 1'000'000'000;
// Below this a difference to the wall clock is no step.
constexpr int64_t STEP_NS_MIN = SECOND_NS / 100;
constexpr uint32_t LEASES_PER_TICK = 256;
// A tally that nobody wrote for so long belongs to a limit that is gone.
constexpr int64_t TALLY_IDLE_NS = 86'400 * SECOND_NS;

static_assert(offsetof(LimitsMap::Header, secret) == 24);
static_assert(offsetof(LimitsMap::Header, mutex) == 64);
static_assert(offsetof(LimitsMap::Header, offset_ns) == 128);
static_assert(offsetof(LimitsMap::Header, recoveries) == 160);
static_assert(sizeof(LimitsMap::Header) <= PIDS_AT);
static_assert(PIDS_AT + LimitsMap::SLOTS * sizeof(uint32_t) <= PAGE);

int64_t clock_ns(clockid_t clock) {
  timespec time;
  clock_gettime(clock, &time);
  return time.tv_sec * SECOND_NS + time.tv_nsec;
}

bool read_boot_id(uint8_t* out) {
  FILE* file = std::fopen("/proc/sys/kernel/random/boot_id", "re");
  if (file == nullptr) return false;
  int digits = 0;
  std::memset(out, 0, 16);
  for (int c = std::fgetc(file); c != EOF && digits < 32; c = std::fgetc(file)) {
    const int value = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (value < 0) continue;
    out[digits / 2] = static_cast<uint8_t>(out[digits / 2] << 4 | value);
    digits++;
  }
  std::fclose(file);
  return digits == 32;
}

// With blocks allocated, so that a full disk fails here and not as a SIGBUS on a store.
int open_sized(const char* path, bool create) {
  const int fd = open(path, O_RDWR | O_CLOEXEC | (create ? O_CREAT : 0), 0600);
  if (fd < 0) return -1;
  struct stat info;
  int failed = fstat(fd, &info) == 0 ? 0 : errno;
  if (failed == 0 && static_cast<size_t>(info.st_size) < FILE_BYTES)
    failed = create ? posix_fallocate(fd, 0, FILE_BYTES) : EINVAL;
  if (failed == 0) return fd;
  close(fd);
  errno = failed;
  return -1;
}

}  // namespace

LimitsMap::~LimitsMap() { unmap(); }

void LimitsMap::unmap() {
  if (header_ != nullptr) munmap(header_, FILE_BYTES);
  header_ = nullptr;
}

bool LimitsMap::map(const char* path, bool create) {
  const int fd = open_sized(path, create);
  if (fd < 0) return false;
  void* data = mmap(nullptr, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  const int reason = errno;
  close(fd);
  errno = reason;
  if (data == MAP_FAILED) return false;
  unmap();
  uint8_t* base = static_cast<uint8_t*>(data);
  header_ = reinterpret_cast<Header*>(base);
  pids_ = reinterpret_cast<uint32_t*>(base + PIDS_AT);
  buckets_ = reinterpret_cast<Bucket*>(base + PAGE);
  leases_ = reinterpret_cast<Lease*>(base + LEASES_AT);
  return true;
}

bool LimitsMap::prepare(const char* path, Opened* out) {
  uint8_t boot_id[16];
  if (!read_boot_id(boot_id) || !map(path, true)) return false;
  const bool blank = header_->magic == 0 || (header_->magic == MAGIC && header_->version == VERSION && header_->ready == 0);
  if (blank) {
    make();
    if (getrandom(header_->secret, sizeof header_->secret, 0) != sizeof header_->secret) return false;
    begin_boot(boot_id);
    __atomic_store_n(&header_->ready, 1, __ATOMIC_RELEASE);
    *out = Opened::MADE;
    return true;
  }
  *out = header_->magic == MAGIC && header_->version == VERSION ? Opened::ADOPTED : Opened::FOREIGN;
  if (*out == Opened::FOREIGN) unmap();
  else if (std::memcmp(header_->boot_id, boot_id, sizeof boot_id) != 0) begin_boot(boot_id);
  return true;
}

bool LimitsMap::attach(const char* path, Opened* out) {
  if (!map(path, false)) return false;
  const bool ready = __atomic_load_n(&header_->ready, __ATOMIC_ACQUIRE) == 1;
  *out = ready && header_->magic == MAGIC && header_->version == VERSION ? Opened::ADOPTED : Opened::FOREIGN;
  if (*out == Opened::FOREIGN) unmap();
  return true;
}

void LimitsMap::make() {
  std::memset(static_cast<void*>(header_), 0, FILE_BYTES);
  header_->magic = MAGIC;
  header_->version = VERSION;
  header_->buckets = BUCKETS;
  header_->leases = LEASES;
}

// The lock's holder, and those who held leases, ended with the boot before this one.
void LimitsMap::begin_boot(const uint8_t* boot_id) {
  make_lock();
  for (uint32_t slot = 0; slot < SLOTS; slot++) pids_[slot] = 0;
  for (uint32_t lease = 0; lease < header_->leases_used; lease++) leases_[lease].owner = 0;
  count_held();
  const int64_t wall = clock_ns(CLOCK_REALTIME);
  const int64_t now = wall > header_->last_ns ? wall : header_->last_ns;
  header_->offset_ns = now - clock_ns(CLOCK_BOOTTIME);
  // Last: until then another attempt begins with it again.
  std::memcpy(header_->boot_id, boot_id, sizeof header_->boot_id);
  // All of the file was touched. It stays in the page cache, and what this process needs of it comes back page by page.
  madvise(header_, FILE_BYTES, MADV_DONTNEED);
}

void LimitsMap::make_lock() {
  pthread_mutexattr_t kind;
  pthread_mutexattr_init(&kind);
  pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(&header_->mutex, &kind);
  pthread_mutexattr_destroy(&kind);
}

bool LimitsMap::lock(int64_t most_ns) {
  int result = pthread_mutex_trylock(&header_->mutex);
  if (result == EBUSY) {
    const int64_t until = clock_ns(CLOCK_MONOTONIC) + most_ns;
    const timespec deadline = {static_cast<time_t>(until / SECOND_NS), static_cast<long>(until % SECOND_NS)};
    result = pthread_mutex_clocklock(&header_->mutex, CLOCK_MONOTONIC, &deadline);
  }
  if (result == EOWNERDEAD) {
    header_->recoveries++;
    count_held();
    pthread_mutex_consistent(&header_->mutex);
    return true;
  }
  return result == 0;
}

void LimitsMap::unlock() { pthread_mutex_unlock(&header_->mutex); }

int64_t LimitsMap::now_ns() const { return held_ns_ >= 0 ? held_ns_ : clock_ns(CLOCK_BOOTTIME) + header_->offset_ns; }

void LimitsMap::tick() {
  const int64_t ahead = clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_BOOTTIME) - header_->offset_ns;
  if (ahead > STEP_NS_MIN) header_->offset_ns += ahead;
  const int64_t now = now_ns();
  header_->last_ns = now;
  for (uint32_t i = 0; i < LEASES_PER_TICK && i < header_->leases_used; i++) {
    header_->look_at = header_->look_at + 1 < header_->leases_used ? header_->look_at + 1 : 0;
    const Lease& lease = leases_[header_->look_at];
    if (lease.owner == 0 || lease.deadline_ns > now) continue;
    header_->expired++;
    free_lease(header_->look_at);
  }
}

uint32_t LimitsMap::find_in(uint32_t set, const Tag& tag) const {
  for (uint32_t place = set; place < set + WAYS; place++) {
    if (is_at(place, tag)) return place;
  }
  return NONE;
}

uint32_t LimitsMap::find(const Tag& tag) {
  uint32_t& hint = hints_[tag.low % HINTS];
  if (is_at(hint, tag)) return hint;
  uint32_t place = find_in(set_of(tag.low), tag);
  if (place == NONE) place = find_in(set_of(tag.high), tag);
  if (place != NONE) hint = place;
  return place;
}

bool LimitsMap::idle(const Bucket& one, int64_t now) const {
  if (one.serial == header_->serial) return false;
  switch (one.kind) {
    case BucketKind::RATE: return one.rate.full_at_ns < now;
    case BucketKind::WINDOW: return one.window.used <= 0 || one.window.start_ns + one.window.period_ns <= now;
    case BucketKind::HELD: return one.held.amount <= 0;
    case BucketKind::BUDGET:
      return one.budget.period_s != ENDLESS_S && one.budget.start_ns + one.budget.period_s * SECOND_NS <= now;
    case BucketKind::LEARNED:
    case BucketKind::TALLY: return one.touched_ns + TALLY_IDLE_NS < now;
    default: return true;
  }
}

uint32_t LimitsMap::claim(const Tag& tag, BucketKind kind, int64_t now, uint32_t place, uint32_t spared) {
  place = find(tag, place);
  if (place == NONE) {
    // In the set with more room, so that sets fill evenly.
    uint32_t best = NONE;
    uint32_t most = spared;
    for (const uint32_t set : {set_of(tag.low), set_of(tag.high)}) {
      uint32_t room = 0;
      uint32_t first = NONE;
      for (uint32_t at = set; at < set + WAYS; at++) {
        if (!idle(buckets_[at], now)) continue;
        // An empty place is better than one that has to be taken from somebody.
        if (first == NONE || (buckets_[first].kind != BucketKind::FREE && buckets_[at].kind == BucketKind::FREE)) first = at;
        room++;
      }
      if (room > most) best = first, most = room;
    }
    if (best == NONE) {
      header_->unplaced++;
      return NONE;
    }
    Bucket& taken = buckets_[best];
    if (taken.kind != BucketKind::FREE) header_->reclaimed++;
    // Free until all of it is written.
    taken.kind = BucketKind::FREE;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    std::memset(static_cast<void*>(&taken), 0, sizeof taken);
    taken.tag = tag;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    taken.kind = kind;
    place = best;
    hints_[tag.low % HINTS] = place;
  }
  buckets_[place].serial = header_->serial;
  if (kind != BucketKind::BUDGET) buckets_[place].touched_ns = now;
  return place;
}

bool LimitsMap::lease_room() const { return header_->free_lease != NONE || header_->leases_used < LEASES; }

uint32_t LimitsMap::take_lease(uint32_t slot, uint32_t place, int64_t amount, int64_t deadline_ns) {
  uint32_t lease = header_->free_lease;
  if (lease != NONE) header_->free_lease = leases_[lease].next_free;
  else if (header_->leases_used < LEASES) lease = header_->leases_used++;
  else return NONE;
  Lease& one = leases_[lease];
  one.serial++;
  one.bucket = place;
  one.amount = amount;
  one.deadline_ns = deadline_ns;
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  one.owner = static_cast<uint16_t>(slot + 1);
  buckets_[place].held.amount += amount;
  return lease;
}

void LimitsMap::return_lease(uint32_t lease, uint32_t serial) {
  if (leases_[lease].serial == serial && leases_[lease].owner != 0) free_lease(lease);
}

void LimitsMap::free_lease(uint32_t lease) {
  Lease& one = leases_[lease];
  one.owner = 0;
  buckets_[one.bucket].held.amount -= one.amount;
  one.next_free = header_->free_lease;
  header_->free_lease = lease;
}

// What is held, and which leases are free, from what the leases say.
void LimitsMap::count_held() {
  for (uint32_t place = 0; place < BUCKETS; place++) {
    if (buckets_[place].kind == BucketKind::HELD) buckets_[place].held.amount = 0;
  }
  header_->free_lease = NONE;
  for (uint32_t lease = 0; lease < header_->leases_used; lease++) {
    Lease& one = leases_[lease];
    if (one.owner != 0) {
      buckets_[one.bucket].held.amount += one.amount;
      continue;
    }
    one.next_free = header_->free_lease;
    header_->free_lease = lease;
  }
}

void LimitsMap::drop_leases(uint32_t slot) {
  for (uint32_t lease = 0; lease < header_->leases_used; lease++) {
    if (leases_[lease].owner == slot + 1) free_lease(lease);
  }
}

void LimitsMap::take_slot(uint32_t slot, uint32_t pid) {
  drop_leases(slot);
  pids_[slot] = pid;
}

void LimitsMap::leave_slot(uint32_t slot, uint32_t pid) {
  if (pid != 0 && pids_[slot] != pid) return;
  drop_leases(slot);
  pids_[slot] = 0;
}

}  // namespace sluice
