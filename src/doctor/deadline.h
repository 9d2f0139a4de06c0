// A time limit for calls that may hang.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace lora_dist {

/// Unless destroyed within `patience`, its thread prints "lora_dist: error: <message>" to standard error and ends the job with
/// exit code 5, while the main thread is stuck in a call.
class Deadline {
 public:
  Deadline(std::chrono::milliseconds patience, std::string message);
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;
  ~Deadline();

 private:
  void watch(std::chrono::milliseconds patience, const std::string& message);

  std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false;
  std::thread watcher_;
};

}  // namespace lora_dist
