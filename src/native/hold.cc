// Signals over a restart, as the programs see them that hand over and take over: hold, release. Main thread of the supervisor.
#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "addon.h"
#include "guard.h"

namespace sluice {
namespace {

constexpr int HOLD_MS_MAX = 2000;

// A thread's mask can be changed by itself only; what a handler leaves in its context is the mask afterwards.
void block_here(int, siginfo_t*, void* context) {
  sigset_t* mask = &static_cast<ucontext_t*>(context)->uc_sigmask;
  for (const int signal : HELD_SIGNALS) sigaddset(mask, signal);
}

// Its handler stays, because a thread may get it late.
int errand() { return SIGRTMIN + 7; }

uint64_t held_bits() {
  uint64_t bits = 0;
  for (const int signal : HELD_SIGNALS) bits |= 1ull << (signal - 1);
  return bits;
}

// As the kernel shows it; a thread that has just ended holds everything.
uint64_t mask_of(const char* thread) {
  const std::string path = std::string("/proc/self/task/") + thread + "/status";
  FILE* file = std::fopen(path.c_str(), "re");
  if (file == nullptr) return ~0ull;
  char line[256];
  uint64_t mask = ~0ull;
  while (std::fgets(line, sizeof(line), file) != nullptr)
    if (std::strncmp(line, "SigBlk:", 7) == 0) mask = std::strtoull(line + 7, nullptr, 16);
  std::fclose(file);
  return mask;
}

// Threads that do not hold them yet, which are asked to.
int ask_threads() {
  DIR* folder = opendir("/proc/self/task");
  if (folder == nullptr) return 0;
  int asked = 0;
  while (const dirent* entry = readdir(folder)) {
    if (entry->d_name[0] == '.' || (mask_of(entry->d_name) & held_bits()) == held_bits()) continue;
    syscall(SYS_tgkill, getpid(), std::atoi(entry->d_name), errand());
    asked += 1;
  }
  closedir(folder);
  return asked;
}

napi_value js_hold(napi_env env, napi_callback_info) {
  napi_value result = nullptr;
  napi_get_boolean(env, hold_signals(), &result);
  return result;
}

// In this thread, which is enough for them to arrive. The guard is looked for as the program itself would: RTLD_DEFAULT finds
// this library first, because it is linked with -Bsymbolic, and after an upgrade the guard is in another one.
napi_value js_release(napi_env, napi_callback_info) {
  const auto end = reinterpret_cast<void (*)()>(dlsym(dlopen(nullptr, RTLD_LAZY), "sluice_guard_end"));
  (end == nullptr ? sluice_guard_end : end)();
  const sigset_t held = held_signals();
  pthread_sigmask(SIG_UNBLOCK, &held, nullptr);
  return nullptr;
}

}  // namespace

bool hold_signals() {
  const sigset_t held = held_signals();
  pthread_sigmask(SIG_BLOCK, &held, nullptr);
  struct sigaction action = {};
  action.sa_sigaction = block_here;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  sigaction(errand(), &action, nullptr);
  int left = ask_threads();
  for (int ms = 0; left > 0 && ms < HOLD_MS_MAX; ms += 1) {
    const timespec time = {0, 1'000'000L};
    nanosleep(&time, nullptr);
    left = ask_threads();
  }
  return left == 0;
}

void register_hold(napi_env env, napi_value exports) {
  define(env, exports, "holdSignals", js_hold);
  define(env, exports, "releaseSignals", js_release);
}

}  // namespace sluice
