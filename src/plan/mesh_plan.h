// All predictions for one mesh, and the search over meshes.
#pragma once

#include <map>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "src/core/memory_report.h"
#include "src/job/full_setup.h"
#include "src/plan/step_time.h"

namespace lora_dist {

struct MeshPlan {
  PlannedMesh mesh;
  MemoryByKind least{};  // minimum over the ranks, as in the table at the start of a run
  MemoryByKind most{};
  std::vector<AssumedMemory> beside;
  WireBytes wire;                // per step, summed over the ranks
  std::optional<StepTime> time;  // if the target is_timed()

  /// Bytes of the rank with the most memory, including what is assumed beside its buffers.
  std::int64_t memory() const;
};

/// Plans meshes for one model, target and step. Caches what depends only on the TP ranks and the shards.
class Planner {
 public:
  Planner(const PlannedModel& model, const PlanTarget& target, const StepShape& step)
      : model_(model), target_(target), step_(step) {}

  /// Throws Error(usage) if the model has fewer heads, features or ids than TP ranks.
  MeshPlan plan(const PlannedMesh& mesh);
  bool trains_base() const { return lora_dist::trains_base(model_.config); }
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
  std::map<std::tuple<int, int, bool>, Footprint> known_;  // by TP ranks, shards and whether shards share memory
};

/// The meshes of `ranks` ranks to try: TP ranks that divide them, within a node and the model's heads; the base over all data
/// ranks, over those of a node, or whole on each.
std::vector<PlannedMesh> meshes_of(const ModelSpec& spec, const Cluster& cluster, int ranks);

struct MeshSearch {
  std::vector<MeshPlan> best;        // for 1, 2, 4 ... 4096 ranks and for `ranks`: the fastest that fits, if any
  std::optional<MeshPlan> smallest;  // the first of them
  std::optional<MeshPlan> fastest;   // for `ranks`
  std::optional<MeshPlan> leanest;   // with the least memory, whether it fits or not
};

/// On CPUs without a predicted time, the mesh with the least memory is the best.
MeshSearch search_meshes(Planner& planner, const ModelSpec& spec, const Cluster& cluster, int ranks);

}  // namespace lora_dist
