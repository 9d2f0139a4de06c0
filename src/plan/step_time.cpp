// The time model.
#include "src/plan/step_time.h"

#include <algorithm>
#include <bit>

#include "kernels/common/check.h"

namespace lora_dist {

namespace {

constexpr double kHostCopyRate = 25e9;  // bytes a second over PCI Express 4 x16

double all_gather_seconds(const Link& link, int ranks, double calls, double bytes) {
  const double others = ranks - 1;
  return bytes * others / ranks / link.rate + calls * others * link.latency;
}

double all_reduce_seconds(const Link& link, int ranks, double calls, double bytes) {
  const int levels = std::bit_width(static_cast<unsigned>(ranks - 1));  // log2, rounded up
  return 2.0 * bytes * (ranks - 1) / ranks / link.rate + calls * 2.0 * levels * link.latency;
}

double tensor_seconds(const Link& link, int ranks, const TensorWork& work) {
  const auto scattered = static_cast<double>(work.scattered_bytes);
  const auto gathered = static_cast<double>(work.gathered_bytes * ranks);
  return all_reduce_seconds(link, ranks, static_cast<double>(work.sums), static_cast<double>(work.summed_bytes)) +
         all_gather_seconds(link, ranks, static_cast<double>(work.scatters), scattered) +
         all_gather_seconds(link, ranks, static_cast<double>(work.gathers), gathered);
}

double gather_seconds(const PlanTarget& target, const PlannedMesh& mesh, const FetchWork& work) {
  if (!mesh.gathers()) {
    return 0.0;
  }
  const Link& link = target.cluster.link_of(std::int64_t{mesh.shards} * mesh.tensor);
  return all_gather_seconds(link, mesh.shards, static_cast<double>(work.fetches), static_cast<double>(work.bytes));
}

/// Fetching half of a pass's blocks: one way.
double fetch_seconds(const PlannedModel& model, const PlanTarget& target, const PlannedMesh& mesh, const FetchWork& blocks) {
  const bool on_host = model.config.parallel.base_device == "host";
  const double copied = on_host ? static_cast<double>(blocks.slice_bytes) / kHostCopyRate : 0.0;
  return (gather_seconds(target, mesh, blocks) + copied) / 2.0;
}

}  // namespace

StepTime time_of_step(const PlannedModel& model, const PlanTarget& target, const PlannedMesh& mesh, const StepShape& step,
                      const PassWork& work) {
  require(target.is_timed(), "a time is predicted for a device, or a rate of CPUs");
  const double flops = target.flops();
  const auto rounds = static_cast<double>(step.rounds(mesh.data));
  const double dequantize = target.on_device() ? work.dequantized_bytes / target.device->memory_rate : 0.0;
  const double fetch = fetch_seconds(model, target, mesh, work.blocks);
  const double embedding = gather_seconds(target, mesh, work.embedding);
  const double head = std::max(0.0, gather_seconds(target, mesh, work.head) - work.head_flops / flops);
  const auto not_hidden = [&](double block_flops) { return std::max(0.0, fetch - block_flops / flops - dequantize / 2.0); };
  StepTime time;
  time.compute = rounds * (work.forward_flops + work.backward_flops + work.head_flops) / flops;
  time.dequantize = rounds * dequantize;
  time.base_gather = rounds * (embedding + head + not_hidden(work.forward_flops) + not_hidden(work.backward_flops));
  if (mesh.tensor > 1) {
    time.tensor_reductions = rounds * tensor_seconds(target.cluster.link_of(mesh.tensor), mesh.tensor, work.tensor);
  }
  if (mesh.ranks() > 1) {
    const auto bytes = static_cast<double>(model.layout.count) * static_cast<double>(sizeof(std::int64_t));
    time.adapter_all_reduce = all_reduce_seconds(target.cluster.link_of(mesh.ranks()), mesh.ranks(), 1.0, bytes);
  }
  return time;
}

}  // namespace lora_dist
