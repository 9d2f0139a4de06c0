// One rank of a mesh with every buffer that it would take, none of them there: what a run calls to take memory is called here
// with arenas that hold none, and its operators and collectives are counted (dry_run.h).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernels/common/work_record.h"
#include "src/adapter/adapter_shard.h"
#include "src/base/frozen_base.h"
#include "src/base/weight_window.h"
#include "src/comm/counting.h"
#include "src/core/arena.h"
#include "src/plan/plan_options.h"
#include "src/plan/planned_model.h"
#include "src/train/train_step.h"
#include "src/transformer/forward_context.h"

namespace lora_dist {

/// data x TP ranks, of which `shards` neighbouring data ranks divide a copy of the base.
struct PlannedMesh {
  int data = 1;
  int tensor = 1;
  int shards = 1;
  bool of_node = false;  // on CPUs they share memory, and gather nothing
  bool gathers() const { return shards > 1 && !of_node; }
  int ranks() const { return data * tensor; }
  bool operator==(const PlannedMesh&) const = default;
};

/// The mesh that a run on so many ranks would be, with the target's ranks on each node. Throws Error(usage, collective) as a run
/// does where parallel.tensor or parallel.base_shards do not divide.
PlannedMesh mesh_of(const Config& config, int ranks, const PlanTarget& target);

struct PlannedRank {
  PlannedRank(const CountedGroup& of_shards, const CountedGroup& of_tensor) : shards(of_shards), tensor(of_tensor) {}

  WorkRecord record;            // of the stream
  Stream stream;                // of the target's backend; runs dry
  CountingCommunicator shards;  // the ranks that divide the base
  CountingCommunicator tensor;  // those that share a micro-batch
  Arena arena{Stream{}, Arena::Memory::none};
  Arena pinned{Stream{}, Arena::Memory::none};
  FrozenBase base;
  AdapterShard part;
  TrainedBuffers buffers;
  StepDropout dropout;
  Workspace workspace;
  std::unique_ptr<WeightWindow> window;
};

/// What the transformer reads of it.
ForwardContext context_of(PlannedRank& rank);

/// Data ranks are alike: `tensor_rank` says all. Throws Error: usage (more TP ranks than heads), model.
std::unique_ptr<PlannedRank> plan_rank(const PlannedModel& model, const PlanTarget& target, const PlannedMesh& mesh,
                                       int tensor_rank);

/// What such a rank holds but for the copy of its state, as the table at the start of a run lists it. What operators keep for
/// themselves on a GPU is estimated.
std::vector<MemoryItem> memory_of(const PlannedRank& rank);

/// What rank `rank` of all copies to be saved, likewise.
std::vector<MemoryItem> memory_of_copy(const PlannedModel& model, const PlanTarget& target, const PlannedMesh& mesh, int rank);

/// Memory of a rank that no arena knows of: the CUDA context and NCCL's buffers, assumed; on CPUs the program itself.
struct AssumedMemory {
  std::string name;
  std::int64_t bytes = 0;
  bool measured = false;  // in the process that plans
};
std::vector<AssumedMemory> memory_beside(const PlanTarget& target, const PlannedMesh& mesh,
                                         std::optional<CommunicatorKind> communicator);

}  // namespace lora_dist
