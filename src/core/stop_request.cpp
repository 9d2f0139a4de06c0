// A thread that waits for the signals that ask for a stop.
#include "src/core/stop_request.h"

#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <thread>

namespace lora_dist {

namespace {

// Signals belong to the process, and so do these two.
std::atomic<bool> requested = false;     // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)
std::atomic<bool> ends_process = false;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigaddset(&set, SIGTERM);
  return set;
}

void wait_for_requests() {
  const sigset_t set = stop_signals();
  for (int signal = 0; sigwait(&set, &signal) == 0;) {
    requested = true;
    if (ends_process) {
      pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
      std::raise(signal);  // its default: the end
    }
  }
}

}  // namespace

void listen_for_stop_requests() {
  const sigset_t set = stop_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::thread(wait_for_requests).detach();
}

bool stop_requested() { return requested; }

void end_on_stop_requests() {
  ends_process = true;
  if (requested) {
    ::kill(::getpid(), SIGTERM);
  }
}

}  // namespace lora_dist
