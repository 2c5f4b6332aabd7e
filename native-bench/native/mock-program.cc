// The mock provider as a program of its own, without TLS, so that it needs no library; see mock.cc.
#include "mock.h"

int main(int argc, char** argv) { return bench::run_mock(argc - 1, argv + 1, nullptr); }
