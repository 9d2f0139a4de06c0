// Polite requests to stop: a signal, a file that somebody makes, a moment that comes. Noted here, looked at by every loop.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

namespace lora_dist {

/// From now on SIGUSR1 and SIGTERM only note that a stop was asked for. To be called before any other thread is started, so that
/// all of them inherit the mask: the signals are blocked everywhere and one thread waits for them. There is no handler, because a
/// handler runs on the stack of the thread it interrupts, and oneDNN's fast products use the stack pointer for data: an
/// interrupted product would have its operands overwritten.
void listen_for_stop_requests();
/// When that was, in seconds since 1970; 0: never.
double listening_since();

/// True once one came.
bool stop_requested();
/// By whom the first was: "SIGUSR1", "SIGTERM", or what request_stop was told. Empty: none came to this process.
std::string stop_reason();
/// "stopped on request", with " (SIGUSR1)" where this process knows the reason.
std::string stopped_on_request();
/// The same as a signal, for other reasons.
void request_stop(const std::string& reason);

/// SIGUSR1 and SIGTERM end the process again, at once; one that was noted before does so now.
void end_on_stop_requests();

/// While it lives, `file` asks for a stop as soon as it is there; it is looked for twice a second.
class StopFile {
 public:
  explicit StopFile(const std::filesystem::path& file);
  StopFile(const StopFile&) = delete;
  StopFile& operator=(const StopFile&) = delete;
  ~StopFile();

 private:
  struct State;
  std::shared_ptr<State> state_;  // shared with the thread that looks: a file system may hold it for long
};

/// From now on, that moment asks for a stop with that reason; the last call counts. Needs listen_for_stop_requests().
void stop_at(std::chrono::system_clock::time_point moment, const std::string& reason);

/// While it lives, there is nothing to save: stop_if_requested() throws. Where it still lives `patience` after a request, since
/// the work is inside something long, `end_job` is called by another thread, to end the job as it is. One at a time.
class NothingToSave {
 public:
  NothingToSave(std::chrono::milliseconds patience, std::function<void()> end_job);
  NothingToSave(const NothingToSave&) = delete;
  NothingToSave& operator=(const NothingToSave&) = delete;
  ~NothingToSave();
};

/// What a job says that a request ends before it trained anything.
std::string nothing_trained_sentence();

/// For loops of work that comes before anything is trained. Throws Error(stopped) where a stop was asked for and there is nothing
/// to save; the sentence says so. Also a heartbeat().
void stop_if_requested();

}  // namespace lora_dist
