// What the program that hands over and the guard of the one that takes over (guard.cc) have in common.
#pragma once
#include <signal.h>

#include <string>
#include <vector>

#include "addon.h"

namespace sluice {

// Those that have a meaning for an operator.
constexpr int HELD_SIGNALS[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR2};

inline sigset_t held_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : HELD_SIGNALS) sigaddset(&set, signal);
  return set;
}

// For execve.
inline std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// Blocks them in all threads of this process: from then on they wait, also over execve. False: some thread did not follow.
bool hold_signals();

// The program runs: the guard's work is done, and what it recorded is raised.
extern "C" void sluice_guard_end();

void register_hold(napi_env env, napi_value exports);

}  // namespace sluice
