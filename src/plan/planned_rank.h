// One rank of a mesh with all buffers of a run, without memory: calls the run's allocation code with arenas that hold none, and
// counts its operators and collectives (dry_run.h).
#pragma once

#include <memory>
#include <optional>
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

/// data x TP ranks; `shards` neighbouring data ranks divide a copy of the base.
struct PlannedMesh {
  int data = 1;
  int tensor = 1;
  int shards = 1;
  bool of_node = false;  // on CPUs shards share memory and gather nothing
  bool gathers() const { return shards > 1 && !of_node; }
  int ranks() const { return data * tensor; }
  bool operator==(const PlannedMesh&) const = default;
};

/// The mesh of a run on this many ranks, with the target's ranks per node. Throws Error(usage, collective) as a run does if
/// parallel.tensor or parallel.base_shards do not divide.
PlannedMesh mesh_of(const Config& config, int ranks, const PlanTarget& target);

struct PlannedRank {
  PlannedRank(const CountedGroup& of_shards, const CountedGroup& of_tensor) : shards(of_shards), tensor(of_tensor) {}

  WorkRecord record;            // of the stream
  Stream stream;                // of the target's backend; dry
  CountingCommunicator shards;  // the ranks that divide the base
  CountingCommunicator tensor;  // the ranks that share a micro-batch
  Arena arena{Stream{}, Arena::Memory::none};
  Arena pinned{Stream{}, Arena::Memory::none};
  FrozenBase base;
  std::optional<FrozenBase> values;  // of full fine-tuning, as the next
  std::optional<TrainedBase> trained;
  AdapterShard part;
  TrainedBuffers buffers;
  std::span<float> part_initial;  // as a run has it
  StepDropout dropout;
  Workspace workspace;
  std::unique_ptr<WeightWindow> window;
};

/// The transformer's view of it.
ForwardContext context_of(PlannedRank& rank);

/// Data ranks are alike, so only `tensor_rank` matters. Throws Error: usage (more TP ranks than heads), model.
std::unique_ptr<PlannedRank> plan_rank(const PlannedModel& model, const PlanTarget& target, const PlannedMesh& mesh,
                                       int tensor_rank);

/// The memory of such a rank without the copy of its state, as in the table at the start of a run. The operators' own memory on a
/// GPU is estimated.
std::vector<MemoryItem> memory_of(const PlannedRank& rank);

/// The memory of the copy that rank `rank` of all makes to save the state.
std::vector<MemoryItem> memory_of_copy(const PlannedModel& model, const PlanTarget& target, const PlannedMesh& mesh, int rank);

/// Memory of a rank outside the arenas: the CUDA context and NCCL's buffers, assumed; on CPUs the program itself.
struct AssumedMemory {
  std::string name;
  std::int64_t bytes = 0;
  bool measured = false;  // in the planning process
};
std::vector<AssumedMemory> memory_beside(const PlanTarget& target, const PlannedMesh& mesh,
                                         std::optional<CommunicatorKind> communicator);

}  // namespace lora_dist
