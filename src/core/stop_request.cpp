// A thread that waits for stop signals and checks the clock, and one that polls for a file.
#include "src/core/stop_request.h"

#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <csignal>
#include <ctime>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "src/core/activity.h"
#include "src/core/error.h"

namespace lora_dist {

namespace {

using Steady = std::chrono::steady_clock;
using System = std::chrono::system_clock;
constexpr std::chrono::milliseconds kLook(200);
constexpr std::chrono::milliseconds kLookForFile(500);

/// One per process, like its signals.
struct Requests {
  std::atomic<bool> requested = false;
  std::atomic<bool> ends_process = false;
  std::atomic<double> listening_since = 0.0;
  std::atomic<Steady::time_point> since = Steady::time_point();
  std::atomic<bool> nothing_to_save = false;
  std::mutex lock;  // guards reason, moment and moment_reason
  std::string reason;
  System::time_point moment = System::time_point::max();
  std::string moment_reason;
  std::mutex end_lock;  // guards patience and end_job
  std::chrono::milliseconds patience{};
  std::function<void()> end_job;
};

Requests& requests() {
  static Requests& the = *new Requests;  // never destroyed: threads may read it until the process ends
  return the;
}

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigaddset(&set, SIGTERM);
  return set;
}

void take_signal(int signal) {
  request_stop(signal == SIGUSR1 ? "SIGUSR1" : "SIGTERM");
  if (requests().ends_process) {
    const sigset_t set = stop_signals();
    std::signal(signal, SIG_DFL);  // MPICH has a handler of its own for SIGUSR1
    pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
    std::raise(signal);  // the default action ends the process
  }
}

/// Called periodically.
void look_at_clock() {
  Requests& the = requests();
  std::string reason;
  {
    const std::lock_guard<std::mutex> hold(the.lock);
    reason = System::now() >= the.moment ? the.moment_reason : "";
  }
  if (!reason.empty()) {
    request_stop(reason);
  }
  const std::lock_guard<std::mutex> hold(the.end_lock);  // ~NothingToSave waits for this lock
  if (the.end_job && the.requested && Steady::now() >= the.since.load() + the.patience) {
    the.end_job();
  }
}

void wait_for_requests() {
  const sigset_t set = stop_signals();
  const timespec look = {0, std::chrono::nanoseconds(kLook).count()};
  for (;;) {
    if (const int signal = sigtimedwait(&set, nullptr, &look); signal > 0) {
      take_signal(signal);
    }
    look_at_clock();
  }
}

}  // namespace

void listen_for_stop_requests() {
  requests().listening_since = seconds_since_1970();
  const sigset_t set = stop_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::thread(wait_for_requests).detach();
}

double listening_since() { return requests().listening_since; }

bool stop_requested() { return requests().requested; }

std::string stop_reason() {
  const std::lock_guard<std::mutex> hold(requests().lock);
  return requests().reason;
}

void request_stop(const std::string& reason) {
  Requests& the = requests();
  const std::lock_guard<std::mutex> hold(the.lock);
  if (!the.requested) {
    the.reason = reason;
    the.since = Steady::now();
    the.requested = true;
  }
}

void end_on_stop_requests() {
  requests().ends_process = true;
  if (const std::string reason = stop_reason(); reason.starts_with("SIG")) {
    ::kill(::getpid(), SIGTERM);
  }
}

struct StopFile::State {
  std::mutex lock;
  std::condition_variable ended;
  bool over = false;
};

StopFile::StopFile(const std::filesystem::path& file) : state_(std::make_shared<State>()) {
  std::thread([state = state_, file] {
    std::unique_lock<std::mutex> hold(state->lock);
    do {
      hold.unlock();
      std::error_code ignored;
      if (std::filesystem::exists(file, ignored)) {
        request_stop("the file " + file.string());
      }
      hold.lock();
    } while (!state->ended.wait_for(hold, kLookForFile, [&] { return state->over; }));
  }).detach();
}

StopFile::~StopFile() {
  const std::lock_guard<std::mutex> hold(state_->lock);
  state_->over = true;
  state_->ended.notify_all();
}

void stop_at(System::time_point moment, const std::string& reason) {
  const std::lock_guard<std::mutex> hold(requests().lock);
  requests().moment = moment;
  requests().moment_reason = reason;
}

NothingToSave::NothingToSave(std::chrono::milliseconds patience, std::function<void()> end_job) {
  const std::lock_guard<std::mutex> hold(requests().end_lock);
  requests().patience = patience;
  requests().end_job = std::move(end_job);
  requests().nothing_to_save = true;
}

NothingToSave::~NothingToSave() {
  const std::lock_guard<std::mutex> hold(requests().end_lock);
  requests().end_job = nullptr;
  requests().nothing_to_save = false;
}

std::string stopped_on_request() {
  const std::string reason = stop_reason();
  return reason.empty() ? "stopped on request" : "stopped on request (" + reason + ")";
}

std::string nothing_trained_sentence() {
  return stopped_on_request() +
         " before the first step of this job: nothing was trained yet and nothing is lost; run the same command to start again";
}

void stop_if_requested() {
  heartbeat();
  if (requests().requested && requests().nothing_to_save) {
    throw Error(ExitCode::stopped, nothing_trained_sentence());
  }
}

}  // namespace lora_dist
