// Makes micro-batches, runs forward and backward dry, and reads the counts.
#include "src/plan/dry_run.h"

#include <numeric>
#include <optional>
#include <vector>

#include "kernels/fixed_point/fixed_point.h"
#include "src/transformer/base_gradients.h"

namespace lora_dist {

namespace {

/// Full sequences. Ids do not matter; targets are shifted, so a sample's last token has none. The rest of a sequence after its
/// samples belongs to a sample that continues elsewhere.
MicroBatch full_micro_batch(const StepShape& step, std::int64_t sequences) {
  const auto tokens = static_cast<std::size_t>(sequences * step.sequence_rows());
  MicroBatch batch;
  batch.virtual_tokens = step.virtual_tokens;
  batch.ids.resize(tokens);
  batch.targets.resize(tokens);
  batch.positions.resize(tokens);
  batch.sample_ids.resize(tokens);
  batch.cu_seqlens.push_back(0);
  const std::int64_t without_target = step.virtual_tokens - (step.predicts_first ? 1 : 0);
  for (std::int64_t sequence = 0; sequence < sequences; ++sequence) {
    const std::int64_t end = (sequence + 1) * step.sequence_rows();
    for (std::int64_t i = 0, first = end - step.sequence_rows(); first < end; ++i, first += step.sample_rows()) {
      const std::int64_t past = std::min(first + step.sample_rows(), end);
      std::iota(batch.positions.begin() + first, batch.positions.begin() + past, 0);
      std::fill(batch.sample_ids.begin() + first, batch.sample_ids.begin() + past,
                static_cast<std::int32_t>(batch.cu_seqlens.size()));
      std::fill_n(batch.targets.begin() + first, std::min(without_target, past - first), kNotTrained);
      batch.cu_seqlens.push_back(static_cast<std::int32_t>(past));
      if (i < step.samples_of_sequence) {
        batch.targets[static_cast<std::size_t>(past - 1)] = kNotTrained;
      }
    }
  }
  return batch;
}

/// The counts of one walk through the model.
struct WalkWork {
  WorkRecord record;
  CollectiveCount tensor;
  CollectiveCount shards;

  double flops_of(std::string_view part) const {
    return record.sum([&](const WorkEntry& e) { return e.part == part; }).work.flops;
  }
};

WalkWork walk(PlannedRank& rank, const std::vector<MicroBatch>& batches) {
  rank.record.clear();
  const CollectiveCount before = rank.tensor.count();
  const CollectiveCount shards_before = rank.shards.count();
  ForwardContext model = context_of(rank);
  std::optional<BaseGradients> of_base;
  if (rank.trained) {
    of_base.emplace(BaseGradients{*rank.trained, 1.0F, kFixedPointLimit, std::vector<std::int64_t>(batches.size())});
    model.base_gradients = &*of_base;
  }
  forward_backward(model, batches, Objective{}, rank.dropout, std::span(rank.buffers.part_grads).first(batches.size()));
  return {rank.record, rank.tensor.count() - before, rank.shards.count() - shards_before};
}

/// The sum of the fetches for which `chosen` is true.
template <class Chosen>
FetchWork fetches_of(const WalkWork& walk, int shards, Chosen chosen) {
  const WorkEntry sum = walk.record.sum(chosen);
  return {sum.calls, sum.work.bytes * shards, sum.work.bytes};
}

void add_fetches(const WalkWork& walk, int shards, MicroBatchWork& work) {
  work.blocks = fetches_of(walk, shards, [](const WorkEntry& e) { return e.name == kBlockFetch; });
  work.embedding = fetches_of(walk, shards, [](const WorkEntry& e) { return e.name == kChunkFetch && e.part == kEmbeddingPart; });
  work.head = fetches_of(walk, shards, [](const WorkEntry& e) { return e.name == kChunkFetch && e.part != kEmbeddingPart; });
}

std::int64_t fetched_bytes(const WalkWork& walk) {
  return walk.record.sum([](const WorkEntry& e) { return e.name == kBlockFetch || e.name == kChunkFetch; }).work.bytes;
}

/// What an update of the base adds to the work.
void add_base_gradients(PlannedRank& rank, const std::vector<MicroBatch>& one, const WalkWork& steady, MicroBatchWork& work) {
  work.gradients.scatters = steady.shards.scatters;
  work.gradients.scattered_bytes = steady.shards.scattered_bytes;
  rank.window->begin_change();
  rank.window->end_change();
  work.changed_bytes = fetched_bytes(walk(rank, one)) - fetched_bytes(steady);
}

}  // namespace

MicroBatchWork work_of_micro_batch(PlannedRank& rank, const StepShape& step) {
  const std::vector<MicroBatch> one = {full_micro_batch(step, step.micro_batch)};
  walk(rank, one);  // fills the slots
  const WalkWork alone = walk(rank, one);
  MicroBatchWork work;
  work.forward_flops = alone.flops_of(kForwardPart);
  work.backward_flops = alone.flops_of(kBackwardPart);
  work.head_flops = alone.flops_of(kHeadPart);
  work.dequantized_bytes =
      static_cast<double>(alone.record.sum([](const WorkEntry& e) { return e.part == kDequantizing; }).work.bytes);
  add_fetches(alone, rank.base.shards, work);
  work.head_chunks = rank.base.head.chunks;
  work.tensor = alone.tensor;
  if (rank.trained) {
    add_base_gradients(rank, one, alone, work);
  }
  if (step.micro_batches_in_flight > 1) {
    const WalkWork both = walk(rank, {one[0], one[0]});
    work.last_recompute_flops = both.flops_of(kBackwardPart) - 2.0 * work.backward_flops;
    work.last_recompute_bytes = both.tensor.bytes() - 2 * work.tensor.bytes();
  }
  if (step.rest() > 0) {
    work.rest_bytes = walk(rank, {full_micro_batch(step, step.rest())}).tensor.bytes();
  }
  return work;
}

WireBytes wire_of_step(const PlannedModel& model, const PlannedMesh& mesh, const StepShape& step,
                       std::span<const MicroBatchWork> works) {
  WireBytes wire;
  for (const MicroBatchWork& work : works) {
    if (mesh.gathers()) {  // ranks without a micro-batch serve the others
      wire[WireKind::base_gather] +=
          step.walks(mesh.data) * mesh.data * (work.blocks.slice_bytes + work.embedding.slice_bytes + work.head.slice_bytes) +
          mesh.data * work.changed_bytes;
      wire[WireKind::adapter_gradient] += step.walks(mesh.data) * mesh.data * work.gradients.bytes();
    }
    wire[WireKind::tensor_activation] += step.full_micro_batches() * work.tensor.bytes() + work.rest_bytes +
                                         step.recomputed_last(mesh.data) * work.last_recompute_bytes;
  }
  if (mesh.ranks() > 1) {  // 64-bit fixed point
    wire[WireKind::adapter_gradient] +=
        mesh.ranks() * model.layout.used_count() * static_cast<std::int64_t>(sizeof(std::int64_t));
  }
  return wire;
}

}  // namespace lora_dist
