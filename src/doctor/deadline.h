// A limit on work that may never end.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace lora_dist {

/// Unless it is destroyed within `patience`, it prints "lora_dist: error: <message>" to standard error and ends the job with exit
/// code 5, from a thread of its own: the one that made it is caught in a call that nothing interrupts.
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
