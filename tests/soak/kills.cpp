// soak_kills [POINTS [SEED]]: kills runs with SIGKILL at random moments and named points, one rank or all, on 2 and 4 ranks in
// turn, and starts them again in the same folder until they are done. No committed step may be lost, every checkpoint must be
// valid, every start must resume from the newest one, and the adapter must be that of an uninterrupted run.
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "src/checkpoint/checkpoint.h"
#include "tests/program_faulty/faulty_launch.h"
#include "tests/soak/damage.h"
#include "tests/soak/runs.h"
#include "tests/soak/trials.h"

namespace lora_dist::soak {
namespace {

namespace fs = std::filesystem;
using program::Finished;
using program::Launch;
using program::RunningJob;
using program::Settings;

constexpr int kSteps = 16;
constexpr int kEvery = 1;  // steps between checkpoints
constexpr int kKillsOfARun = 12;

/// A checkpoint may still be on its way to the disk while the next steps are done.
constexpr std::int64_t kStepsOnTheWay = 2 * kEvery;

/// A way to kill: `point` of tests/faults, or a moment after `when` was printed.
struct Kill {
  const char* name;
  const char* point;
  const char* when;
  std::size_t milliseconds;  // at most
  bool all_ranks;
};

constexpr std::array<Kill, 13> kKills = {{{"a rank, at any moment", "", "", 2500, false},
                                          {"all ranks, at any moment", "", "", 2500, true},
                                          {"a rank, while training", "", "step ", 400, false},
                                          {"all ranks, while training", "", "step ", 400, true},
                                          {"at the start of a save", "save", "", 0, false},
                                          {"in the thread that writes a shard", "shard", "", 0, false},
                                          {"before a commit", "commit", "", 0, false},
                                          {"at the start of a step", "step", "", 0, false},
                                          {"in a pass", "pass", "", 0, false},
                                          {"in the gradient's all-reduce", "gradient_all_reduce", "", 0, false},
                                          {"in an all-gather", "all_gather", "", 0, false},
                                          {"in an all-reduce", "all_reduce", "", 0, false},
                                          {"in a broadcast", "broadcast", "", 0, false}}};

Launch killed_launch(const Settings& settings, int ranks, const Kill& kill_kind, Random& random) {
  const bool rank_0_alone = std::string(kill_kind.point) == "commit";
  const int rank = rank_0_alone ? 0 : static_cast<int>(below(static_cast<std::size_t>(ranks), random));
  const std::string passing = std::to_string(1 + below(below(2, random) == 0 ? 4 : 40, random));
  const std::string fault = "kill," + std::string(kill_kind.point) + "," + std::to_string(rank) + "," + passing;
  Launch launch = *kill_kind.point == '\0' ? program::launch_of(settings, ranks) : program::faulty(settings, ranks, fault);
  launch.environment["OMPI_MCA_odls_base_sigkill_timeout"] = "0";
  if (*kill_kind.point != '\0') {
    return launch;
  }
  launch.when = kill_kind.when;
  launch.delay_seconds = static_cast<double>(below(kill_kind.milliseconds, random)) / 1000.0;
  launch.act = [rank, all = kill_kind.all_ranks](const RunningJob& job) {
    if (!all) {
      job.kill_rank(rank);
      return;
    }
    const auto processes = job.ranks();
    kill(job.launcher, SIGKILL);
    for (const auto& [number, process] : processes) {
      kill(process, SIGKILL);
    }
  };
  return launch;
}

/// The newest checkpoint's step, 0 without any; what is wrong with any of them to `wrong`.
std::int64_t committed(const fs::path& output, std::string& wrong) {
  const std::vector<std::string> checkpoints = program::checkpoints_of(output);
  for (const std::string& checkpoint : checkpoints) {
    for (const std::string& problem : verify_checkpoint(output / "checkpoints" / checkpoint)) {
      wrong += problem + "; ";
    }
  }
  return checkpoints.empty() ? 0 : std::stoll(checkpoints.back().substr(5));
}

/// What a start said about where it goes on, against the checkpoint that was the newest before it.
void check_start(const Finished& start, std::int64_t before, std::string& wrong) {
  const std::string place = "(step " + std::to_string(before) + ")";
  const bool trained = start.out.find("\nstep ") != std::string::npos;
  const std::size_t resumed = start.out.find("resuming from ");
  if (trained && before > 0 && before < kSteps &&
      (resumed == std::string::npos || start.out.substr(resumed, 600).find(place) == std::string::npos)) {
    wrong += "did not go on from step " + std::to_string(before) + "; ";
  }
}

/// Of the folder of a run that was killed just now; `before`: the newest checkpoint then.
void check_folder(const fs::path& output, std::int64_t before, std::string& wrong) {
  const std::int64_t after = committed(output, wrong);
  const auto steps = static_cast<std::int64_t>(program::count_of(get_file(output / "metrics.jsonl"), "\n"));
  if (after < before) {
    wrong += "the checkpoint of step " + std::to_string(before) + " is gone; ";
  }
  if (steps > after + kStepsOnTheWay) {
    wrong += std::to_string(steps) + " steps were done and " + std::to_string(after) + " are saved; ";
  }
}

void check_end(const fs::path& output, const fs::path& straight, std::string& wrong) {
  if (adapter_of(output) != adapter_of(straight)) {
    wrong += "the adapter is not that of the run without a kill; ";
  }
  for (const char* key : {"step", "loss"}) {
    if (program::column(program::read_lines(output / "metrics.jsonl"), key) !=
        program::column(program::read_lines(straight / "metrics.jsonl"), key)) {
      wrong += std::string("metrics.jsonl has another ") + key + "; ";
    }
  }
  for (const auto& entry : fs::directory_iterator(output / "checkpoints")) {
    if (entry.path().filename().string().starts_with(".tmp")) {
      wrong += entry.path().string() + " was left; ";
    }
  }
}

void tell(Tally& tally, const std::string& what, const std::string& wrong, const Finished& finished) {
  if (!wrong.empty()) {
    ++tally.failures;
    std::printf("FAILED: %s: %s%s\n%s\n", what.c_str(), wrong.c_str(), said(finished).c_str(),
                finished.out.substr(finished.out.size() - std::min<std::size_t>(finished.out.size(), 800)).c_str());
    std::fflush(stdout);
  }
}

/// Kills and starts again until the run is done. Returns how often it was killed.
std::int64_t run_to_the_end(const fs::path& output, const fs::path& straight, Random& random, Tally& tally) {
  std::int64_t points = 0;
  for (int start = 0; start < 10 * kKillsOfARun; ++start) {
    const Kill& kill_kind = kKills[below(kKills.size(), random)];
    const int ranks = below(2, random) == 0 ? 2 : 4;
    const Settings settings = run_of(output, kSteps, kEvery);
    std::string wrong;
    const std::int64_t before = committed(output, wrong);
    const Finished finished = program::run_program(points < kKillsOfARun ? killed_launch(settings, ranks, kill_kind, random)
                                                                         : program::launch_of(settings, ranks));
    check_start(finished, before, wrong);
    const std::string what =
        std::string(kill_kind.name) + ", " + std::to_string(ranks) + " ranks, seed's run in " + output.string();
    if (finished.exit_code == 0) {
      check_end(output, straight, wrong);
      tell(tally, what, wrong, finished);
      return points;
    }
    check_folder(output, before, wrong);
    if (finished.exit_code != 128 + SIGKILL || finished.timed_out) {
      wrong += "it did not end by the kill; ";
    }
    tell(tally, what, wrong, finished);
    ++points;
    ++tally.rows[kill_kind.name][std::to_string(ranks) + " ranks"];
  }
  ++tally.failures;
  std::printf("FAILED: %s never ended\n", output.c_str());
  return points;
}

int run(std::int64_t wanted, std::uint64_t seed) {
  const Scratch scratch;
  program::expect_success(program::launch_of(run_of(scratch / "straight", kSteps, 0), 1));
  Random random(seed);
  Tally tally;
  std::int64_t points = 0;
  std::int64_t runs = 0;
  for (; points < wanted; ++runs) {
    const fs::path output = scratch / std::to_string(runs);
    points += run_to_the_end(output, scratch / "straight", random, tally);
    fs::remove_all(output);
    std::fprintf(stderr, "%lld of %lld kills, %lld failures\n", static_cast<long long>(points), static_cast<long long>(wanted),
                 static_cast<long long>(tally.failures));
  }
  std::printf("%lld kills in %lld runs, seed %llu: %lld failures\n", static_cast<long long>(points), static_cast<long long>(runs),
              static_cast<unsigned long long>(seed), static_cast<long long>(tally.failures));
  print_tally(tally, "killed");
  return tally.failures == 0 ? 0 : 1;
}

}  // namespace
}  // namespace lora_dist::soak

int main(int argc, char** argv) {
  if (std::filesystem::is_directory("/dev/shm")) {
    ::setenv("TMPDIR", "/dev/shm", 0);
  }
  const auto argument = [&](int at, long long otherwise) { return argc > at ? std::atoll(argv[at]) : otherwise; };
  return lora_dist::soak::run(argument(1, 8), static_cast<std::uint64_t>(argument(2, 1)));
}
