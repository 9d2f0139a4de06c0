// Starts and ends the watch over a training job.
#include "src/train/run_watch.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <string_view>
#include <system_error>

#include "src/comm/agree.h"
#include "src/comm/flight_record.h"
#include "src/comm/process.h"
#include "src/report/progress.h"

namespace lora_dist {

namespace {

using System = std::chrono::system_clock;
using Seconds = std::chrono::duration<double>;

/// The modification time in seconds since 1970; empty if the file does not exist.
std::optional<double> made_at(const std::filesystem::path& file) {
  struct stat found {};
  if (::stat(file.c_str(), &found) != 0) {
    return std::nullopt;
  }
  return static_cast<double>(found.st_mtim.tv_sec) + static_cast<double>(found.st_mtim.tv_nsec) * 1e-9;
}

/// Removes a stop file older than this job: it was meant for another one.
void take_away_old_stop_file(const std::filesystem::path& file, const Console& console) {
  const std::optional<double> made = made_at(file);
  if (!made || *made >= listening_since()) {
    return;
  }
  std::error_code problem;
  std::filesystem::remove(file, problem);
  console.line(problem ? fmt::format("note: {} is older than this job and asks it to stop; it cannot be removed: {}",
                                     file.string(), problem.message())
                       : fmt::format("note: {} was left by an earlier request to stop; removed", file.string()));
}

/// Removes heartbeat files of a killed job.
void clear_beats(const std::filesystem::path& folder) {
  std::error_code ignored;
  std::filesystem::create_directory(folder, ignored);
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    if (entry.path().filename().string().starts_with("rank_")) {
      std::filesystem::remove(entry.path(), ignored);
    }
  }
}

}  // namespace

RunWatch::RunWatch(const Config& config, Communicator& world, const Console& console)
    : stop_file_(std::filesystem::path(config.output.dir) / "stop"),
      folder_(std::filesystem::path(config.output.dir) / "watchdog") {
  run_together(world, [&] {
    if (world.rank() == 0) {
      lock_.emplace(config.output.dir, "output.dir");
      take_away_old_stop_file(stop_file_, console);
      clear_beats(folder_);
    }
  });
  const std::chrono::milliseconds turn(2000 + 300 * std::min(world.rank(), 10));  // the lowest rank prints, and ends the job
  nothing_to_save_ = std::make_unique<NothingToSave>(turn, [this] {
    take_away_stop_file();
    abort_stuck_job("lora_dist: " + nothing_trained_sentence() + "\n", static_cast<int>(ExitCode::stopped));
  });
  stop_request_ = std::make_unique<StopFile>(stop_file_);
  mind_wall_time(config, console);
  start_watchdog(config, world, console);
}

RunWatch::~RunWatch() {
  if (lock_ && stop_requested()) {
    take_away_stop_file();
  }
}

void RunWatch::start_watchdog(const Config& config, Communicator& world, const Console& console) {
  if (config.parallel.watchdog_seconds == 0) {
    return;
  }
  WatchdogOptions options;
  options.folder = folder_;
  options.seconds = config.parallel.watchdog_seconds;
  options.end_job = [](const std::string& who) {
    abort_stuck_job("lora_dist: error: " + who + "\n", static_cast<int>(ExitCode::hang));
  };
  StartedWatchdog started = lora_dist::start_watchdog(world, options);
  watchdog_ = std::move(started.watchdog);
  if (watchdog_ == nullptr) {
    console.warn(
        fmt::format("the watchdog is off: {}; a job that hangs is not ended. It needs an output.dir on a file system that all "
                    "ranks share, as checkpoints do",
                    started.why_not));
  }
}

void RunWatch::mind_wall_time(const Config& config, const Console& console) {
  const double wanted = config.checkpoint.walltime_margin_seconds;
  end_ = end_of_job(std::getenv("SLURM_JOB_END_TIME"));
  if (!end_ || wanted == 0.0) {
    end_.reset();
    return;
  }
  const double left = std::max(0.0, Seconds(*end_ - System::now()).count());
  margin_ = Seconds(margin_within(wanted, left));
  if (margin_.count() < wanted) {
    console.warn(
        fmt::format("the batch system ends this job in {}; instead of checkpoint.walltime_margin_seconds = {} it is stopped {} "
                    "before that",
                    human_duration(left), wanted, human_duration(margin_.count())));
  } else {
    console.line(fmt::format("wall time  ends in {}; a checkpoint is saved {} before that", human_duration(left),
                             human_duration(margin_.count())));
  }
  note_step_seconds(0.0);
}

void RunWatch::note_step_seconds(double seconds) {
  if (end_) {
    const Seconds before = margin_ + Seconds(seconds);
    stop_at(*end_ - std::chrono::duration_cast<System::duration>(before),
            fmt::format("the wall time ends in about {}", human_duration(before.count())));
  }
}

void RunWatch::take_away_stop_file() const {
  std::error_code ignored;
  std::filesystem::remove(stop_file_, ignored);
}

ExitCode with_flight_record(const RunWatch& watch, int rank, const std::function<ExitCode()>& work) {
  try {
    return work();
  } catch (const Error& error) {
    if (error.code() != ExitCode::communication || !write_flight_record(watch.folder(), rank)) {
      throw;
    }
    throw Error(error.code(),
                fmt::format("{}. Each rank's last collectives are in {}/flight_*.jsonl", error.what(), watch.folder().string()),
                error.scope());
  }
}

bool stop_agreed(Communicator& world) {
  std::array<std::int64_t, 1> asked = {stop_requested() ? 1 : 0};
  world.all_reduce(asked, Reduce::max, WireKind::control);
  return asked[0] != 0;
}

std::optional<System::time_point> end_of_job(const char* text) {
  const std::string_view view = text == nullptr ? "" : text;
  std::int64_t seconds = 0;
  const auto [end, problem] = std::from_chars(view.data(), view.data() + view.size(), seconds);
  constexpr std::int64_t kLatest = std::int64_t{1} << 33;  // year 2242; clocks have a larger range
  if (problem != std::errc() || end != view.data() + view.size() || seconds <= 0 || seconds > kLatest) {
    return std::nullopt;
  }
  return System::time_point(std::chrono::seconds(seconds));
}

double margin_within(double margin_seconds, double seconds_left) { return std::min(margin_seconds, seconds_left / 2.0); }

}  // namespace lora_dist
