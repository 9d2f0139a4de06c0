// soak_fault_matrix [ROWS [RANKS...]]: one fault after the other on each number of ranks (2 and 4), and a table of what became of
// each: exit code, time to the end, message, and whether the run went on to the bits of an undisturbed one. ROWS: how many kinds
// (all where it is 0), in the order of the list.
#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <thread>

#include "src/checkpoint/checkpoint.h"
#include "tests/program_faulty/faulty_launch.h"
#include "tests/soak/runs.h"

namespace lora_dist::soak {
namespace {

namespace fs = std::filesystem;
using program::Finished;
using program::Launch;
using program::RunningJob;
using program::Settings;
using Seconds = std::chrono::duration<double>;

constexpr int kSteps = 12;
constexpr const char* kWatchdogSeconds = "3";
/// So that a job which is asked to stop from outside has steps left to do.
constexpr const char* kSlowSteps = "slow,step,0,1,0,0.3";
/// Far more than is promised: the machine may have other work. The table tells what it was.
constexpr double kMostSeconds = 60.0;

/// What happens: a fault of tests/faults, or something done to the job from outside once it trains.
struct Kind {
  const char* name;
  const char* fault;
  void (*act)(const RunningJob& job, const fs::path& output);
  int exit_code;
  const char* message;  // on standard error, or standard output
};

void signal_ranks(const RunningJob& job, std::initializer_list<std::pair<int, int>> signals) {
  const auto processes = job.ranks();
  for (const auto& [rank, number] : signals) {
    if (const auto found = processes.find(rank); found != processes.end()) {
      kill(found->second, number);
    }
  }
}

/// Where it has the same effect on each number of ranks, the fault is rank 1's.
const std::array<Kind, 29> kKinds = {
    {{"killed in a step", "kill,step,1,5", nullptr, 128 + SIGKILL, ""},
     {"throws", "throw,pass,1,5", nullptr, 1, "internal error, a mistake in the program: thrown by a test"},
     {"hangs in a collective", "hang,all_gather,1,20", nullptr, 86, "no progress on any rank"},
     {"ends early without a word", "exit,step,1,5", nullptr, 1, "exiting improperly"},
     {"killed while it writes a shard", "kill,shard,1,2", nullptr, 128 + SIGKILL, ""},
     {"killed before a commit", "kill,commit,0,2", nullptr, 128 + SIGKILL, ""},
     {"stopped (SIGSTOP)", "stop,step,1,5", nullptr, 86, "rank 1 on "},
     {"hangs in its own work", "hang,pass,1,9", nullptr, 86, "rank 1 never came"},
     {"hangs while it writes a shard", "hang,shard,1,2", nullptr, 86, "no progress on any rank"},
     {"a full disk", "enospc,00004/shard_00001,1,1,0", nullptr, 4, "shard_00001.h5: No space left on device"},
     {"a broken disk", "eio,00004/shard_00000,0,2", nullptr, 4, "shard_00000.h5: Input/output error"},
     {"a disk that fails in fsync", "sync_eio,00004/shard_00001,1", nullptr, 4, "shard_00001.h5: Input/output error"},
     {"a bit that flips on its way to the disk", "flip,00004/shard_00001,1", nullptr, 4, "shard_00001.h5"},
     {"a write that is lost", "lost_write,00004/shard_00001,1,2", nullptr, 4, "shard_00001.h5"},
     {"a manifest that changes on its way", "flip,00004/MANIFEST,0", nullptr, 4, "MANIFEST.json read back differently"},
     {"short writes", "short_write,/out/,1,1,0;short_write,/out/,0,1,0", nullptr, 0, ""},
     {"no memory in a step", "no_memory,step,1,5", nullptr, 6, "rank 1: out of memory; use "},
     {"no memory for a shard", "no_memory,shard,1,2", nullptr, 6, "rank 1: out of memory; use "},
     {"a lost message", "hang,gradient_all_reduce,0,5", nullptr, 86, "all ranks are in the same collective"},
     {"slow", "slow,step,1,1,0,0.3", nullptr, 0, "slowest rank 1 ("},
     {"another adapter, once", "lie,adapter,1,5", nullptr, 0, "going back to the last checkpoint, once"},
     {"another adapter, again and again", "lie,adapter,1,5,0", nullptr, 5, "rank 1 holds another adapter than rank"},
     {"a gradient that is no number", "nan,gradient,1,5", nullptr, 7, "loss or gradient is not finite"},
     {"SIGUSR1 to mpirun", "", [](const RunningJob& job, const fs::path&) { kill(job.launcher, SIGUSR1); }, 75,
      "stopped on request at step "},
     {"SIGTERM to one rank", "",
      [](const RunningJob& job, const fs::path&) {
        signal_ranks(job, {{1, SIGTERM}});
      },
      75, "stopped on request at step "},
     {"two signals at once, on two ranks", "",
      [](const RunningJob& job, const fs::path&) {
        signal_ranks(job, {{0, SIGTERM}, {1, SIGUSR1}, {0, SIGUSR1}});
      },
      75, "stopped on request at step "},
     {"a stop file", "", [](const RunningJob&, const fs::path& output) { put_file(output / "stop", ""); }, 75,
      "stopped on request at step "},
     {"mpirun is killed", "", [](const RunningJob& job, const fs::path&) { kill(job.launcher, SIGKILL); }, 128 + SIGKILL, ""},
     {"another configuration on one rank", "other", nullptr, 2, "train.seed is 43 here and 42 on rank 0"}}};

/// What became of it.
struct Result {
  Finished finished;
  double seconds = 0.0;  // from the fault to the end
  std::string checkpoint;
  std::string wrong;
};

Settings settings_of(const fs::path& output) {
  Settings settings = run_of(output, kSteps, 2);
  settings["train.global_batch"] = "8";
  settings["train.micro_batch"] = "1";
  settings["train.seed"] = "42";
  settings["parallel.watchdog_seconds"] = kWatchdogSeconds;
  return settings;
}

/// The last rank is started with another seed (mpirun's colon).
Launch with_another_seed(Settings settings, int ranks) {
  Launch launch = program::launch_of(settings, ranks - 1);
  settings["train.seed"] = "43";
  const Launch other = program::launch_of(settings, 1);
  launch.arguments.insert(launch.arguments.end(), {":", "-np", "1", LORA_DIST_PROGRAM});
  launch.arguments.insert(launch.arguments.end(), other.arguments.begin(), other.arguments.end());
  return launch;
}

double seconds_now() { return Seconds(fs::file_time_type::clock::now().time_since_epoch()).count(); }

/// Until none of them is there: ranks outlive an mpirun that was killed, for a moment.
void wait_for(const std::map<int, pid_t>& processes) {
  const auto is_there = [](const auto& process) { return kill(process.second, 0) == 0; };
  for (int tries = 0; tries < 20 * static_cast<int>(kMostSeconds) && std::ranges::any_of(processes, is_there); ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

/// Runs into the fault, until nothing of the job is there. `told`: made when the fault comes.
Finished run_into(const Kind& kind, const Settings& settings, int ranks, const fs::path& told) {
  const bool from_outside = kind.act != nullptr;
  Launch launch = std::string(kind.fault) == "other" ? with_another_seed(settings, ranks)
                                                     : program::faulty(settings, ranks, from_outside ? kSlowSteps : kind.fault);
  std::map<int, pid_t> processes;
  if (!from_outside) {
    launch.environment["LORA_DIST_FAULT_TOLD"] = told.string();
  } else {
    launch.when = "step  2/";
    launch.act = [&](const RunningJob& job) {
      processes = job.ranks();
      put_file(told, "now");
      kind.act(job, settings.at("output.dir"));
    };
  }
  Finished finished = program::run_program(launch);
  wait_for(processes);
  return finished;
}

void check_resume(const Settings& settings, int ranks, const fs::path& straight, Result& result) {
  const fs::path output = settings.at("output.dir");
  const std::vector<std::string> checkpoints = program::checkpoints_of(output);
  for (const std::string& checkpoint : checkpoints) {
    for (const std::string& problem : verify_checkpoint(output / "checkpoints" / checkpoint)) {
      result.wrong += problem + "; ";
    }
  }
  result.checkpoint = checkpoints.empty() ? "none" : checkpoints.back();
  const Finished resumed = program::run_program(program::launch_of(settings, ranks));
  if (resumed.exit_code != 0) {
    result.wrong += "it does not go on: " + said(resumed);
  } else if (adapter_of(output) != adapter_of(straight)) {
    result.wrong += "it goes on to another adapter; ";
  }
}

Result try_one(const Kind& kind, int ranks, const fs::path& place, const fs::path& straight) {
  const Settings settings = settings_of(place / "out");
  const fs::path told = place / "told";
  Result result;
  result.finished = run_into(kind, settings, ranks, told);
  const double end = seconds_now();
  if (fs::exists(told)) {
    result.seconds = end - Seconds(fs::last_write_time(told).time_since_epoch()).count();
  }
  const Finished& finished = result.finished;
  if (finished.exit_code != kind.exit_code || finished.timed_out) {
    result.wrong += "exit code " + std::to_string(kind.exit_code) + " expected; ";
  }
  if ((finished.err + finished.out).find(kind.message) == std::string::npos) {
    result.wrong += std::string("no \"") + kind.message + "\"; ";
  }
  if (kind.exit_code != 0 && result.seconds > kMostSeconds) {
    result.wrong += "it took too long to end; ";
  }
  check_resume(settings, ranks, straight, result);
  return result;
}

/// The beginning of the program's sentence, with `place` left out.
std::string sentence(const Finished& finished, const Kind& kind, const std::string& place) {
  std::string all = finished.err + finished.out;
  for (std::size_t found = all.find(place); found != std::string::npos; found = all.find(place)) {
    all.erase(found, place.size());
  }
  std::size_t at = all.find("lora_dist: error: ");
  at = at == std::string::npos && *kind.message != '\0' ? all.find(kind.message) : at;
  if (at == std::string::npos) {
    return finished.err.find("mpirun noticed") != std::string::npos ? "(mpirun's)" : "";
  }
  std::string text = all.substr(at, 140);
  text = text.substr(0, text.find('\n'));
  std::ranges::replace(text, '|', '/');
  return text;
}

int run(std::size_t rows, const std::vector<int>& all_ranks) {
  const Scratch scratch;
  const fs::path straight = scratch / "straight";
  program::expect_success(program::launch_of(settings_of(straight), 1));
  int failures = 0;
  std::printf(
      "| fault | ranks | exit code | s to the end | message | newest checkpoint | then |\n|---|---|---|---|---|---|---|\n");
  for (std::size_t i = 0; i < rows; ++i) {
    for (const int ranks : all_ranks) {
      const fs::path place = scratch / (std::to_string(i) + "_" + std::to_string(ranks));
      fs::create_directory(place);
      const Result result = try_one(kKinds[i], ranks, place, straight);
      failures += result.wrong.empty() ? 0 : 1;
      std::printf("| %s | %d | %d | %.1f | %s | %s | %s |\n", kKinds[i].name, ranks, result.finished.exit_code, result.seconds,
                  sentence(result.finished, kKinds[i], place.string() + "/").c_str(), result.checkpoint.c_str(),
                  result.wrong.empty() ? "same bits" : ("FAILED: " + result.wrong + said(result.finished)).c_str());
      std::fflush(stdout);
      fs::remove_all(place);
    }
  }
  return failures == 0 ? 0 : 1;
}

}  // namespace
}  // namespace lora_dist::soak

int main(int argc, char** argv) {
  std::vector<int> ranks;
  for (int i = 2; i < argc; ++i) {
    ranks.push_back(std::atoi(argv[i]));
  }
  const std::size_t all = lora_dist::soak::kKinds.size();
  const std::size_t rows = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 0;
  return lora_dist::soak::run(rows == 0 ? all : std::min(rows, all), ranks.empty() ? std::vector<int>{2, 4} : ranks);
}
