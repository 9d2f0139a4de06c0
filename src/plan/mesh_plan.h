// Everything that is predicted of one mesh, and the search over meshes.
#pragma once

#include <map>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "src/core/memory_report.h"
#include "src/plan/step_time.h"

namespace lora_dist {

struct MeshPlan {
  PlannedMesh mesh;
  MemoryByKind least{};  // over the ranks, as the table at the start of a run
  MemoryByKind most{};
  std::vector<AssumedMemory> beside;
  WireBytes wire;                // of a step, summed over the ranks
  std::optional<StepTime> time;  // where the target is_timed()

  /// Bytes of the rank that holds most, with what is assumed beside its buffers.
  std::int64_t memory() const;
};

/// Plans meshes of one model, target and step. What depends on the TP ranks and the shards alone is kept.
class Planner {
 public:
  Planner(const PlannedModel& model, const PlanTarget& target, const StepShape& step)
      : model_(model), target_(target), step_(step) {}

  /// Throws Error(usage) for more TP ranks than the model has heads, features or ids.
  MeshPlan plan(const PlannedMesh& mesh);
  bool fits(const MeshPlan& plan) const { return target_.memory_limit == 0 || plan.memory() <= target_.memory_limit; }

 private:
  struct Footprint {
    std::vector<MemoryByKind> held;    // per TP rank, without the copy of its state
    std::vector<MicroBatchWork> work;  // per TP rank
  };
  const Footprint& footprint(const PlannedMesh& mesh);

  const PlannedModel& model_;
  const PlanTarget& target_;
  const StepShape& step_;
  std::map<std::tuple<int, int, bool>, Footprint> known_;  // by TP ranks, shards and whether they share memory
};

/// The meshes of so many ranks that are tried: TP ranks that divide them, within a node and the model's heads; the base over
/// all data ranks, over those of a node, or whole on each.
std::vector<PlannedMesh> meshes_of(const ModelSpec& spec, const Cluster& cluster, int ranks);

struct MeshSearch {
  std::vector<MeshPlan> best;        // of 1, 2, 4 ... 4096 ranks and of `ranks`: the fastest that fits, where one does
  std::optional<MeshPlan> smallest;  // the first of them
  std::optional<MeshPlan> fastest;   // of `ranks`
  std::optional<MeshPlan> leanest;   // that needs least memory, whether it fits or not
};

/// On CPUs, where no time is predicted, the mesh with least memory counts as the best.
MeshSearch search_meshes(Planner& planner, const ModelSpec& spec, const Cluster& cluster, int ranks);

}  // namespace lora_dist
