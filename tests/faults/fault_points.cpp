// Fault points with effect: at the PASSING-th time (default 1) that RANK reaches POINT, and TIMES in all (default 1; 0: always
// from then on), the rank is killed, stopped (SIGSTOP), sent a stop signal (signal), delayed by SECONDS (slow), blocked (hang),
// exits silently (exit), throws an unknown exception (throw), runs out of memory (no_memory), or its values become NaN (nan) or
// wrong (lie).
#include "src/core/fault_point.h"

#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <limits>
#include <new>
#include <stdexcept>
#include <thread>

#include "tests/faults/faults.h"

namespace lora_dist {

namespace {

void befall(const Fault& fault, std::span<float> values) {
  if (fault.kind == "kill") {
    ::kill(::getpid(), SIGKILL);
  } else if (fault.kind == "stop") {
    ::kill(::getpid(), SIGSTOP);
  } else if (fault.kind == "signal") {
    ::kill(::getpid(), SIGUSR1);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));  // until it was noted
  } else if (fault.kind == "exit") {
    std::_Exit(0);
  } else if (fault.kind == "throw") {
    throw std::runtime_error("thrown by a test");
  } else if (fault.kind == "slow") {
    std::this_thread::sleep_for(std::chrono::duration<double>(fault.seconds));
  } else if (fault.kind == "hang") {
    for (;;) {
      std::this_thread::sleep_for(std::chrono::seconds(60));
    }
  } else if (fault.kind == "no_memory") {
    throw std::bad_alloc();
  } else if (!values.empty() && fault.kind == "nan") {
    values.front() = std::numeric_limits<float>::quiet_NaN();
  } else if (!values.empty() && fault.kind == "lie") {
    values.front() += 1.0F;
  }
}

}  // namespace

void fault_point(std::string_view point, std::span<float> values) {
  const auto fault = fault_that_befalls([&](const Fault& one) { return !is_of_disk(one) && one.point == point; });
  if (fault) {
    befall(*fault, values);
  }
}

void fault_point(std::string_view point) { fault_point(point, {}); }

}  // namespace lora_dist
