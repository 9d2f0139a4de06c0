// The threads of the watchdog.
#include "src/comm/watchdog.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "src/comm/agree.h"
#include "src/comm/flight_record.h"
#include "src/comm/hang_report.h"
#include "src/comm/heartbeat_file.h"
#include "src/comm/process.h"
#include "src/core/elapsed.h"
#include "src/core/error.h"

namespace lora_dist {

namespace {

using Seconds = std::chrono::duration<double>;

/// The last heartbeat read of another rank.
struct Reading {
  std::optional<Heartbeat> heartbeat;
  Clock::time_point changed = Clock::now();  // time of the last change of its count, by this rank's clock
};

}  // namespace

class Watchdog::Threads {
 public:
  Threads(int rank, int ranks, WatchdogOptions options)
      : rank_(rank),
        options_(std::move(options)),
        pause_(std::clamp(options_.seconds / 20.0, 0.05, 0.5)),
        silent_after_(std::max(2.0, options_.seconds / 2.0)),
        readings_(static_cast<std::size_t>(ranks)) {
    mine_.rank = rank;
    mine_.host = host_name();
    watching_ = std::thread([this] { watch(); });
    guarding_ = std::thread([this] { guard(); });
  }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;
  ~Threads() {
    {
      const std::lock_guard<std::mutex> hold(lock_);
      over_ = true;
    }
    ended_.notify_all();
    watching_.join();
    guarding_.join();
    std::error_code ignored;
    std::filesystem::remove(heartbeat_file(options_.folder, rank_), ignored);
    std::filesystem::remove(options_.folder, ignored);  // succeeds for the last rank, if the folder is empty
  }

 private:
  /// False if the watchdog is being destroyed.
  bool sleep(double seconds) {
    std::unique_lock<std::mutex> hold(lock_);
    return !ended_.wait_for(hold, Seconds(seconds), [this] { return over_; });
  }

  void watch() {
    do {
      // A process that was stopped and continued was not idle meanwhile, and has read no heartbeats.
      if (seconds_since(last_turn_) > 1.0 + 4.0 * pause_) {
        restart_count();
      }
      last_turn_ = Clock::now();
      publish();
      if (mine_.at.idle_seconds >= options_.seconds / 2.0) {
        check_others();
      } else {
        looking_ = false;
      }
    } while (sleep(pause_));
  }

  void restart_count() {
    counting_since_ = Clock::now();
    looking_ = false;
  }

  void publish() {
    ++mine_.count;
    mine_.at = activity();
    mine_.at.idle_seconds = std::min(mine_.at.idle_seconds, seconds_since(counting_since_));
    mine_.written = seconds_since_1970();
    write_heartbeat(options_.folder, mine_);
  }

  void read(int rank) {
    Reading& reading = readings_[static_cast<std::size_t>(rank)];
    const std::optional<Heartbeat> heartbeat = rank == rank_ ? mine_ : read_heartbeat(options_.folder, rank);
    if (heartbeat && (!reading.heartbeat || reading.heartbeat->count != heartbeat->count)) {
      reading.changed = Clock::now();
      reading.heartbeat = heartbeat;
    }
  }

  bool silent(int rank) const {
    return rank != rank_ && seconds_since(readings_[static_cast<std::size_t>(rank)].changed) >= silent_after_;
  }

  /// The lowest live rank decides; if no lower rank is live, this one does.
  void check_others() {
    if (!looking_) {
      looking_ = true;
      for (Reading& reading : readings_) {
        reading.changed = Clock::now();
      }
    }
    for (int rank = 0; rank < rank_; ++rank) {
      read(rank);
      if (!silent(rank)) {
        const std::optional<Heartbeat>& judge = readings_[static_cast<std::size_t>(rank)].heartbeat;
        if (judge && judge->job_ends) {
          record_and_wait();
        }
        return;
      }
    }
    for (int rank = rank_; rank < static_cast<int>(readings_.size()); ++rank) {
      read(rank);
    }
    if (const std::vector<SeenRank> seen = table(); idle_seconds(seen) >= options_.seconds) {
      end_the_job(seen);
    }
  }

  std::vector<SeenRank> table() const {
    std::vector<SeenRank> seen;
    const double now = seconds_since_1970();
    for (std::size_t rank = 0; rank < readings_.size(); ++rank) {
      const Reading& reading = readings_[rank];
      const bool is_silent = silent(static_cast<int>(rank));
      // A rank's silence is measured by both machines' clocks, which differ slightly.
      const double since = reading.heartbeat ? now - reading.heartbeat->written : 0.0;
      seen.push_back({reading.heartbeat, is_silent ? std::max(since, seconds_since(reading.changed)) : 0.0, is_silent});
    }
    return seen;
  }

  void record() {
    mine_.recorded = write_flight_record(options_.folder, rank_);
    publish();
  }

  /// Another rank ends the job: this one writes its flight record and waits.
  void record_and_wait() {
    record();
    sleep(10.0);
    std::_Exit(static_cast<int>(ExitCode::hang));
  }

  void end_the_job(const std::vector<SeenRank>& seen) {
    mine_.job_ends = true;
    record();
    constexpr double kForRecords = 1.0;
    for (const auto start = Clock::now(); seconds_since(start) < kForRecords && !all_recorded();) {
      std::this_thread::sleep_for(Seconds(0.02));
    }
    report(who_waits_for_whom(seen) +
           fmt::format("; each rank's last collectives are in {}/flight_*.jsonl", options_.folder.string()));
  }

  bool all_recorded() {
    for (int rank = 0; rank < static_cast<int>(readings_.size()); ++rank) {
      if (rank == rank_ || silent(rank)) {
        continue;
      }
      read(rank);
      const std::optional<Heartbeat>& heartbeat = readings_[static_cast<std::size_t>(rank)].heartbeat;
      if (heartbeat && !heartbeat->recorded) {
        return false;
      }
    }
    return true;
  }

  void report(const std::string& who) {
    options_.end_job(fmt::format("no progress on any rank for {} s ({} = {}): {}. {}", options_.seconds, options_.named_by,
                                 options_.seconds, who, options_.advice));
  }

  /// Checks the clock only: the other thread may be blocked by the same file system as the ranks.
  void guard() {
    const double pause = std::min(1.0, options_.seconds / 4.0);
    const double patience = std::max(5.0, options_.seconds / 2.0);
    auto turn = Clock::now();
    auto awake = turn;  // when the process was last continued
    while (sleep(pause)) {
      awake = seconds_since(turn) > 1.0 + 4.0 * pause ? Clock::now() : awake;
      turn = Clock::now();
      const Activity at = activity();
      const double held = std::min(seconds_since(last_turn_), seconds_since(awake));
      if (held < patience || std::min(at.idle_seconds, seconds_since(awake)) < options_.seconds) {
        continue;
      }
      sleep(0.3 * std::min(rank_, 10));  // staggered, so that the lowest rank reports and ends the job
      report(fmt::format("rank {} on {} is in {}, and the file system under {} has not answered for {:.0f} s", rank_, mine_.host,
                         at.what, options_.folder.string(), held));
    }
  }

  int rank_;
  WatchdogOptions options_;
  double pause_;
  double silent_after_;
  Heartbeat mine_;
  std::vector<Reading> readings_;
  bool looking_ = false;
  std::atomic<Clock::time_point> last_turn_ = Clock::now();
  std::atomic<Clock::time_point> counting_since_ = Clock::now();
  std::mutex lock_;
  std::condition_variable ended_;
  bool over_ = false;
  std::thread watching_;
  std::thread guarding_;
};

Watchdog::Watchdog(int rank, int ranks, WatchdogOptions options)
    : threads_(std::make_unique<Threads>(rank, ranks, std::move(options))) {}

Watchdog::~Watchdog() = default;

namespace {

/// The rank whose file this rank should see but does not; -1: none. Waits for slow network file systems.
int unseen_rank(const Communicator& world, const std::filesystem::path& folder) {
  constexpr double kPatience = 10.0;
  const auto start = Clock::now();
  const int last = world.rank() == 0 ? world.size() - 1 : 0;  // every rank checks rank 0's file, and rank 0 all files
  for (int rank = 0; rank <= last;) {
    if (read_heartbeat(folder, rank)) {
      ++rank;
    } else if (seconds_since(start) > kPatience) {
      return rank;
    } else {
      std::this_thread::sleep_for(Seconds(0.05));
    }
  }
  return -1;
}

}  // namespace

StartedWatchdog start_watchdog(Communicator& world, const WatchdogOptions& options) {
  Heartbeat first;
  first.rank = world.rank();
  StartedWatchdog started;
  started.why_not = first_problem(world, write_heartbeat(options.folder, first)
                                             ? ""
                                             : fmt::format("rank {} cannot write into {}", first.rank, options.folder.string()));
  if (!started.why_not.empty()) {
    return started;
  }
  const int unseen = unseen_rank(world, options.folder);
  const std::string mine =
      unseen < 0 ? ""
                 : fmt::format("rank {} does not see what rank {} writes into {}", world.rank(), unseen, options.folder.string());
  started.why_not = first_problem(world, mine);
  if (started.why_not.empty()) {
    started.watchdog = std::make_unique<Watchdog>(world.rank(), world.size(), options);
  }
  return started;
}

}  // namespace lora_dist
