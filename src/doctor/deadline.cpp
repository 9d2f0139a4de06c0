// A thread that waits for the destructor or the time limit.
#include "src/doctor/deadline.h"

#include <fmt/format.h>

#include <cstdio>
#include <utility>

#include "src/comm/process.h"
#include "src/core/error.h"

namespace lora_dist {

Deadline::Deadline(std::chrono::milliseconds patience, std::string message)
    : watcher_([this, patience, message = std::move(message)] { watch(patience, message); }) {}

Deadline::~Deadline() {
  {
    const std::lock_guard lock(mutex_);
    done_ = true;
  }
  changed_.notify_all();
  watcher_.join();
}

void Deadline::watch(std::chrono::milliseconds patience, const std::string& message) {
  std::unique_lock lock(mutex_);
  if (!changed_.wait_for(lock, patience, [this] { return done_; })) {
    fmt::print(stderr, "lora_dist: error: {}\n", message);
    abort_job(static_cast<int>(ExitCode::communication));
  }
}

}  // namespace lora_dist
