// Measures a training step alone and next to other computing processes, alternately.
//
//   OMP_NUM_THREADS=2 build/benchmarks/contention_benchmark [PROCESSES [ROUNDS]]     (2 processes, 7 rounds)
//
// On a shared node, in a container with a CPU quota, or with two jobs on one machine, threads that spin while waiting take time
// from the threads that they wait for. The shape is that of step_benchmark; medians of all rounds are printed.
#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "benchmarks/measured_step.h"
#include "src/comm/cpu_quota.h"
#include "src/comm/process.h"
#include "src/comm/single_rank.h"

namespace {

using namespace lora_dist;
using namespace lora_dist::benchmarks;

/// Runs computing processes for its lifetime.
class BusyProcesses {
 public:
  explicit BusyProcesses(int count) {
    for (int i = 0; i < count; ++i) {
      const pid_t child = fork();
      if (child == 0) {
        for (volatile double x = 1.0;;) {
          x = x * 1.0000001;
        }
      }
      children_.push_back(child);
    }
  }
  BusyProcesses(const BusyProcesses&) = delete;
  BusyProcesses& operator=(const BusyProcesses&) = delete;
  ~BusyProcesses() {
    for (const pid_t child : children_) {
      kill(child, SIGKILL);
      waitpid(child, nullptr, 0);
    }
  }

 private:
  std::vector<pid_t> children_;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  const int processes = argc > 1 ? std::atoi(argv[1]) : 2;
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 7;
  const auto world = make_single_rank();
  ProcessInfo alone;
  alone.cpu_share = cpu_share(std::vector<std::vector<CpuLimit>>{cpu_limits()}, 0);
  const int threads = threads_per_rank(alone);
  with_random_model(*world, "lora_dist_contention", [&](const std::filesystem::path& folder) {
    const auto step = make_step({}, folder, threads, *world);
    seconds_of_step(*step, *world);  // the first one touches all memory
    std::vector<double> alone;
    std::vector<double> beside;
    for (int i = 0; i < rounds; ++i) {
      alone.push_back(seconds_of_step(*step, *world));
      const BusyProcesses busy(processes);
      beside.push_back(seconds_of_step(*step, *world));
    }
    fmt::print("a step on {} threads: {:.3f} s alone, {:.3f} s beside {} busy processes: {:.2f} times as long (medians of {})\n",
               threads, median(alone), median(beside), processes, median(beside) / median(alone), rounds);
  });
  return 0;
}
