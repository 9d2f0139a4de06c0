// Measures the cost of sharding: the same training step with a replicated base, with a sharded base, and with tensor parallelism,
// in one run.
//
//   OMP_NUM_THREADS=1 mpirun -np 2 build/benchmarks/mesh_benchmark
//
// The shape and the batch are those of step_benchmark. The steps of all rows take turns, and the best of each is kept, because
// rates drift on a shared machine. The other rows of a table are compared with the first.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "benchmarks/measured_step.h"
#include "kernels/common/parallel.h"
#include "src/comm/mpi_communicator.h"
#include "src/comm/process.h"
#include "src/core/memory_report.h"

namespace {

using namespace lora_dist;
using namespace lora_dist::benchmarks;

constexpr int kTrials = 25;

struct Row {
  std::string name;
  StepSetting setting;
  double goal = 0.0;  // times the first row, at most; 0: none
  double best = 1e9;  // seconds of a step
  std::unique_ptr<MeasuredStep> step = {};
};

/// Maximum over the ranks.
struct Held {
  std::int64_t base = 0;  // blocks, embedding and head
  std::int64_t activations = 0;
};

Held held_bytes(const MeasuredStep& step, Communicator& world) {
  const MemoryByKind held = sum_by_kind(step.model->arena.items());
  const auto of = [&](MemoryKind kind) { return held[static_cast<std::size_t>(kind)]; };
  std::array<std::int64_t, 2> bytes = {of(MemoryKind::base_shard) + of(MemoryKind::embedding_and_head),
                                       of(MemoryKind::activations)};
  world.all_reduce(bytes, Reduce::max, WireKind::control);
  return {bytes[0], bytes[1]};
}

void measure(std::vector<Row>& rows, const std::filesystem::path& folder, int threads, Communicator& world) {
  for (Row& row : rows) {
    row.step = make_step(row.setting, folder, threads, world);
    seconds_of_step(*row.step, world);  // the first touches memory
  }
  for (int trial = 0; trial < kTrials; ++trial) {
    for (Row& row : rows) {
      row.best = std::min(row.best, seconds_of_step(*row.step, world));
    }
  }
}

void print_rows(const std::vector<Row>& rows, int threads, Communicator& world) {
  const std::int64_t whole = held_bytes(*rows[0].step, world).base;
  for (const Row& row : rows) {
    const Held held = held_bytes(*row.step, world);
    const std::string goal = row.goal > 0.0 ? fmt::format(" (at most {:.2f})", row.goal) : "";
    if (world.rank() == 0) {
      fmt::print("| {} | {} x {} | {:.1f} ms | {:.3f}{} | {} | {:.1f} % | {} |\n", row.name, world.size(), threads,
                 1e3 * row.best, row.best / rows[0].best, goal, human_bytes(held.base),
                 100.0 * static_cast<double>(held.base) / static_cast<double>(whole), human_bytes(held.activations));
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  MpiSession session(argc, argv);
  set_library_threads();
  const auto world = make_mpi_world();
  const int threads = threads_per_rank(session.process());
  if (world->rank() == 0) {
    fmt::print(
        "| NF4 | ranks x threads | step | against the first | base of a rank | of the whole | activations |\n"
        "|---|---|---|---|---|---|---|\n");
  }
  with_random_model(*world, "lora_dist_mesh_benchmark", [&](const std::filesystem::path& folder) {
    for (const auto& [recompute, name] : {std::pair(Recompute::none, "none"), std::pair(Recompute::block, "block")}) {
      std::vector<Row> rows;
      const auto add = [&, recompute = recompute, name = name](const char* what, StepSetting setting, double goal = 0.0) {
        setting.recompute = recompute;
        rows.push_back({fmt::format("recompute {}, {}", name, what), setting, goal});
      };
      StepSetting shared_pass;
      shared_pass.tensor = world->size();
      StepSetting divided_rows = shared_pass;
      divided_rows.sequence_parallel = true;
      StepSetting whole;
      whole.shards = 1;
      StepSetting divided_blocks;
      divided_blocks.shards_vocabulary = false;
      add("base on each rank", whole);
      add("base divided over all", {}, 1.10);
      add("blocks divided over all", divided_blocks);
      add("all ranks share a pass", shared_pass, 1.25);
      add("all ranks share a pass, rows divided", divided_rows);
      measure(rows, folder, threads, *world);
      print_rows(rows, threads, *world);
    }
  });
  return 0;
}
