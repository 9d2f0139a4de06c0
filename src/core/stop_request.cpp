// Signal handlers that set a flag.
#include "src/core/stop_request.h"

#include <csignal>

namespace lora_dist {

namespace {

// A signal handler can reach nothing but an object of static storage.
volatile std::sig_atomic_t requested = 0;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

extern "C" void note_request(int /*signal*/) { requested = 1; }

}  // namespace

void listen_for_stop_requests() {
  struct sigaction action = {};
  action.sa_handler = note_request;
  action.sa_flags = SA_RESTART;
  sigaction(SIGUSR1, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool stop_requested() { return requested != 0; }

}  // namespace lora_dist
