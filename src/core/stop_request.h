// Requests to stop, by a signal, a file, or a point in time. Every loop polls them.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

namespace lora_dist {

/// From now on SIGUSR1 and SIGTERM only request a stop. Call it before any other thread starts, so that all threads inherit the
/// mask: the signals are blocked and one thread waits for them. A handler would run on the stack of the interrupted thread, and
/// oneDNN's products use the stack pointer for data: it would overwrite their operands.
void listen_for_stop_requests();
/// The time of that call, in seconds since 1970; 0: never called.
double listening_since();

/// True once a stop was requested.
bool stop_requested();
/// The source of the first request: "SIGUSR1", "SIGTERM", or the argument of request_stop. Empty: this process has received none.
std::string stop_reason();
/// "stopped on request", with " (SIGUSR1)" if this process knows the reason.
std::string stopped_on_request();
/// Requests a stop like a signal, for another reason.
void request_stop(const std::string& reason);

/// Restores the default action of SIGUSR1 and SIGTERM: they end the process at once, also if received before.
void end_on_stop_requests();

/// For its lifetime, the existence of `file` requests a stop; it is polled twice a second.
class StopFile {
 public:
  explicit StopFile(const std::filesystem::path& file);
  StopFile(const StopFile&) = delete;
  StopFile& operator=(const StopFile&) = delete;
  ~StopFile();

 private:
  struct State;
  std::shared_ptr<State> state_;  // shared with the polling thread, which a file system may block for long
};

/// Requests a stop with that reason at that moment; the last call counts. Needs listen_for_stop_requests().
void stop_at(std::chrono::system_clock::time_point moment, const std::string& reason);

/// For its lifetime there is nothing to save, and stop_if_requested() throws. If it still exists `patience` after a request (the
/// work is in a long call), another thread calls `end_job`. Only one at a time.
class NothingToSave {
 public:
  NothingToSave(std::chrono::milliseconds patience, std::function<void()> end_job);
  NothingToSave(const NothingToSave&) = delete;
  NothingToSave& operator=(const NothingToSave&) = delete;
  ~NothingToSave();
};

/// The message of a job that is stopped before training.
std::string nothing_trained_sentence();

/// For loops before training. Throws Error(stopped) if a stop was requested and there is nothing to save. Also calls heartbeat().
void stop_if_requested();

}  // namespace lora_dist
