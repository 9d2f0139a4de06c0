// Takes a rank's buffers from arenas without memory.
#include "src/plan/planned_rank.h"

#include <fmt/format.h>

#include <algorithm>

#include "src/adapter/full.h"
#include "src/base/weight_window.h"
#include "src/comm/mesh.h"
#include "src/core/error.h"
#include "src/job/adapter_setup.h"
#include "src/job/full_setup.h"
#include "src/train/saving.h"
#include "src/train/training_run.h"
#include "src/transformer/workspace.h"

namespace lora_dist {

namespace {

constexpr std::int64_t kMebi = std::int64_t{1} << 20;

// This program measures none of these; they are round figures of what such processes hold.
constexpr std::int64_t kContextBytes = 600 * kMebi;       // CUDA's context, with the kernels of the program and of cuBLASLt
constexpr std::int64_t kCommunicatorBytes = 400 * kMebi;  // NCCL's buffers, per communicator

/// cuBLASLt's workspace, and the widest sums of attention's backward: cuDNN sums the gradient of q in f32, the program's own
/// kernel keeps a number per head.
std::int64_t operator_bytes(const ModelSpec& spec, const PlanTarget& target, std::int64_t tokens) {
  const bool fused = target.dtype != DType::f32 && spec.head_dim % 8 == 0;
  const std::int64_t attention = tokens * (fused ? spec.query_width() : spec.heads) * static_cast<std::int64_t>(sizeof(float));
  return target.device->product_mib * kMebi + attention;
}

}  // namespace

PlannedMesh mesh_of(const Config& config, int ranks, const PlanTarget& target) {
  check_tensor_ranks(ranks, config.parallel.tensor);
  Mesh mesh;
  mesh.tensor = config.parallel.tensor;
  mesh.data = ranks / mesh.tensor;
  if (trains_base(config)) {
    return {mesh.data, mesh.tensor, mesh.data, false};
  }
  const int of_node = std::min(mesh.data, std::max(1, target.cluster.gpus_per_node / mesh.tensor));
  const bool by_node = config.parallel.base_shards.of == BaseShards::Of::node;
  if (by_node && mesh.data % of_node != 0) {
    throw Error(
        ExitCode::usage,
        fmt::format("parallel.base_shards = \"node\": {} data-parallel ranks do not fill nodes of {}; ask for another number "
                    "of --ranks or --gpus-per-node, or set it to \"all\"",
                    mesh.data, of_node),
        ErrorScope::collective);
  }
  return {mesh.data, mesh.tensor, base_shards_of(mesh, config.parallel.base_shards, of_node),
          by_node && of_node > 1 && !target.on_device()};
}

std::unique_ptr<PlannedRank> plan_rank(const PlannedModel& model, const PlanTarget& target, const PlannedMesh& mesh,
                                       int tensor_rank) {
  const TpShard tp = tp_shard(model.spec, tensor_rank, mesh.tensor, mesh.ranks());
  const bool on_host = target.on_device() && model.config.parallel.base_device == BaseDevice::host;
  const bool sums_in_f32 = target.on_device() && model.config.parallel.communicator == CommunicatorKind::mpi;
  const bool trains = trains_base(model.config);
  auto rank = std::make_unique<PlannedRank>(CountedGroup{0, mesh.shards, sums_in_f32},
                                            CountedGroup{tensor_rank, mesh.tensor, sums_in_f32});
  rank->stream.backend = target.backend;
  rank->stream.record = &rank->record;
  rank->base = lay_out_frozen_base(model.spec, model.directory, model.format, tp, mesh.shards,
                                   {rank->arena, rank->stream, target.dtype, on_host ? &rank->pinned : nullptr, mesh.of_node,
                                    model.config.parallel.shard_vocabulary || trains, 0, trains});
  if (trains && target.dtype != DType::f32) {
    rank->values = std::move(rank->base);
    rank->base = round_base(*rank->values, target.dtype, rank->arena, rank->stream);
  }
  const int in_flight = model.config.train.micro_batches_in_flight;
  rank->window = std::make_unique<WeightWindow>(rank->base, rank->shards, rank->arena, rank->stream, target.dtype, in_flight);
  rank->part = make_adapter_shard(model.layout, model.spec, tp);
  const AdapterParams params = take_parameters(model.layout, rank->part, rank->arena);
  rank->part_initial = params.part_initial;
  rank->buffers = take_trained_buffers(params, model.layout, rank->part, in_flight, rank->arena);
  rank->dropout.p = static_cast<float>(model.config.adapter.dropout);
  const WorkspaceOptions options =
      workspace_options(model.config, model.spec, model.layout.virtual_tokens.count, target.dtype, Purpose::train);
  rank->workspace = make_workspace(rank->base, rank->part.layout, options, rank->arena, rank->stream);
  if (trains) {
    const TrainedTensors tensors = trained_tensors(model.spec, model.config.train.trainable);
    rank->trained = make_trained_base(rank->base, rank->values ? *rank->values : rank->base, tensors.matrices, 0, rank->arena);
    rank->trained->shards = &rank->shards;
    count_saved_matrices(*rank->trained, target.on_device(), rank->arena);
  }
  if (target.on_device()) {
    rank->arena.count(MemoryKind::operator_scratch, "operators' own",
                      operator_bytes(rank->base.spec, target, options.max_tokens));
  }
  return rank;
}

ForwardContext context_of(PlannedRank& rank) {
  Communicator* const tensor = rank.tensor.size() > 1 ? &rank.tensor : nullptr;
  return {&rank.base, &rank.part.layout, rank.window.get(), &rank.workspace, rank.buffers.part_params, rank.stream,
          tensor,     nullptr,           rank.part_initial};
}

std::vector<MemoryItem> memory_of(const PlannedRank& rank) {
  std::vector<MemoryItem> items = rank.arena.items();
  items.insert(items.end(), rank.pinned.items().begin(), rank.pinned.items().end());
  return items;
}

std::vector<MemoryItem> memory_of_copy(const PlannedModel& model, const PlanTarget& target, const PlannedMesh& mesh, int rank) {
  Arena arena{Stream{}, Arena::Memory::none};
  take_state_copy(model.layout, rank, mesh.ranks(), target.on_device(), arena);
  return arena.items();
}

std::vector<AssumedMemory> memory_beside(const PlanTarget& target, const PlannedMesh& mesh,
                                         std::optional<CommunicatorKind> communicator) {
  if (!target.on_device()) {
    return {{"program and MPI", target.program_bytes, target.program_is_measured}};
  }
  std::vector<AssumedMemory> beside = {{"CUDA context", kContextBytes}};
  if (mesh.ranks() > 1 && communicator != CommunicatorKind::mpi) {  // all ranks, those of a base, those of a micro-batch
    const int communicators = 1 + (mesh.shards > 1 ? 1 : 0) + (mesh.tensor > 1 ? 1 : 0);
    beside.push_back({"NCCL", communicators * kCommunicatorBytes});
  }
  return beside;
}

}  // namespace lora_dist
