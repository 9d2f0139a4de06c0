// Measures how long training waits for a synchronous and for an asynchronous checkpoint.
//
//   OMP_NUM_THREADS=1 mpirun -np 2 build/benchmarks/checkpoint_benchmark [FOLDER]     (/dev/shm: no disk)
//
// The state (factors and both moments) is 100 MB and 400 MB. A step is 20 ms of arithmetic on each rank and one small all_reduce,
// as the training loop has it; it takes longer while a thread writes if no core is idle. The best of each counts.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <vector>

#include "kernels/elementwise/copy.h"
#include "src/checkpoint/pending_save.h"
#include "src/checkpoint/shard.h"
#include "src/comm/mpi_communicator.h"
#include "src/comm/process.h"

namespace {

using namespace lora_dist;
using Clock = std::chrono::steady_clock;

constexpr int kTrials = 5;
constexpr double kStepWork = 0.02;  // seconds

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

/// Arithmetic that takes `seconds` of an idle core.
class StepWork {
 public:
  explicit StepWork(double seconds) {
    const Clock::time_point begin = Clock::now();
    while (seconds_since(begin) < seconds) {
      turn();
      ++turns_;
    }
  }
  void run() {
    for (int i = 0; i < turns_; ++i) {
      turn();
    }
  }

 private:
  void turn() {
    for (double& value : values_) {
      value = value * 1.0000001 + 1e-9;
    }
  }
  std::vector<double> values_ = std::vector<double>(4096, 1.0);
  int turns_ = 0;
};

struct Measured {
  double waited = 1e9;   // for a synchronous save
  double blocked = 1e9;  // by an asynchronous save
  double commit = 1e9;   // of that save, from its start
  double step = 1e9;     // without a save
  double step_beside = 1e9;
};

/// The state, and a rank's copy of it.
struct Buffers {
  TrainingState state;
  std::array<std::vector<float>, 3> copy;
  StateBuffers copied;
};

void copy_state(Buffers& buffers, ShardRange range) {
  const StateBuffers from = elements_of(buffers_of(buffers.state), range);
  const std::array<std::span<const float>, 3> all = {from.params, from.m, from.v};
  for (std::size_t i = 0; i < all.size(); ++i) {
    to_host(view(all[i]), view(std::span(buffers.copy[i])), Stream{});
  }
}

double step_seconds(StepWork& work, Communicator& world, std::int64_t& working) {
  const Clock::time_point begin = Clock::now();
  work.run();
  world.all_reduce(std::span(&working, 1), Reduce::max, WireKind::control);
  return seconds_since(begin);
}

/// One asynchronous save.
void save_beside(Buffers& buffers, const CheckpointIdentity& identity, const std::filesystem::path& folder, StepWork& work,
                 Communicator& world, Measured& best) {
  const auto count = static_cast<std::int64_t>(buffers.state.params.size());
  const Clock::time_point begin = Clock::now();
  copy_state(buffers, saved_range(count, world.rank(), world.size()));
  PendingSave save(world, folder, identity, buffers.state, buffers.copied, 1);
  double blocked = seconds_since(begin);
  double in_steps = 0.0;
  int steps = 0;
  for (bool committed = false; !committed; ++steps) {
    std::int64_t working = save.is_working() ? 1 : 0;
    in_steps += step_seconds(work, world, working);
    if (working == 0) {
      const Clock::time_point meeting = Clock::now();
      committed = save.proceed();
      blocked += seconds_since(meeting);
    }
  }
  best.blocked = std::min(best.blocked, blocked);
  best.commit = std::min(best.commit, seconds_since(begin));
  best.step_beside = std::min(best.step_beside, in_steps / steps);
}

Measured measure(std::int64_t bytes, const std::filesystem::path& folder, Communicator& world) {
  const std::int64_t count = bytes / 12;
  Buffers buffers;
  buffers.state.step = 1;
  for (std::vector<float>* values : {&buffers.state.params, &buffers.state.m, &buffers.state.v}) {
    values->assign(static_cast<std::size_t>(count), 0.5F);
  }
  const ShardRange held = saved_range(count, world.rank(), world.size());
  for (std::vector<float>& values : buffers.copy) {
    values.assign(static_cast<std::size_t>(held.end - held.begin), 0.0F);
  }
  buffers.copied = {buffers.copy[0], buffers.copy[1], buffers.copy[2]};
  CheckpointIdentity identity;
  identity.tensors = {{"factors", {count}, 0, count}};
  StepWork work(kStepWork);
  Measured best;
  for (int trial = 0; trial < kTrials; ++trial) {
    std::int64_t nobody = 0;
    best.step = std::min(best.step, step_seconds(work, world, nobody));
    world.barrier();
    const Clock::time_point begin = Clock::now();
    save_checkpoint(world, folder, identity, buffers.state, 1);
    best.waited = std::min(best.waited, seconds_since(begin));
    save_beside(buffers, identity, folder, work, world, best);
  }
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  MpiSession session(argc, argv);
  const auto world = make_mpi_world();
  const std::filesystem::path folder = std::filesystem::path(argc > 1 ? argv[1] : "/dev/shm") / "lora_dist_checkpoint_benchmark";
  if (world->rank() == 0) {
    fmt::print("| ranks | state | waited for | training blocked | per 100 MB | committed after | step | step beside a save |\n");
    fmt::print("|---|---|---|---|---|---|---|---|\n");
  }
  for (const std::int64_t megabytes : {100, 400}) {
    const Measured best = measure(megabytes * 1'000'000, folder, *world);
    if (world->rank() == 0) {
      fmt::print("| {} | {} MB | {:.0f} ms | {:.1f} ms | {:.1f} ms | {:.2f} s | {:.1f} ms | {:.1f} ms |\n", world->size(),
                 megabytes, 1e3 * best.waited, 1e3 * best.blocked, 1e5 * best.blocked / static_cast<double>(megabytes),
                 best.commit, 1e3 * best.step, 1e3 * best.step_beside);
    }
  }
  if (world->rank() == 0) {
    std::filesystem::remove_all(folder);
  }
  return 0;
}
