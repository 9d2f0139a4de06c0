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

/// Fetching half of a pass's blocks: one way.
double fetch_seconds(const PlannedModel& model, const PlanTarget& target, const PlannedMesh& mesh, const PassWork& work) {
  double seconds = 0.0;
  if (mesh.gathers()) {
    const Link& link = target.cluster.link_of(std::int64_t{mesh.shards} * mesh.tensor);
    seconds += all_gather_seconds(link, mesh.shards, static_cast<double>(work.fetches), static_cast<double>(work.fetched_bytes));
  }
  if (model.config.parallel.base_device == "host") {
    seconds += static_cast<double>(work.slice_bytes) / kHostCopyRate;
  }
  return seconds / 2.0;
}

}  // namespace

StepTime time_of_step(const PlannedModel& model, const PlanTarget& target, const PlannedMesh& mesh, const StepShape& step,
                      const PassWork& work) {
  require(target.is_timed(), "a time is predicted for a device, or a rate of CPUs");
  const double flops = target.flops();
  const auto rounds = static_cast<double>(step.rounds(mesh.data));
  const double dequantize = target.on_device() ? work.dequantized_bytes / target.device->memory_rate : 0.0;
  const double fetch = fetch_seconds(model, target, mesh, work);
  const auto not_hidden = [&](double block_flops) { return std::max(0.0, fetch - block_flops / flops - dequantize / 2.0); };
  StepTime time;
  time.compute = rounds * (work.forward_flops + work.backward_flops + work.head_flops) / flops;
  time.dequantize = rounds * dequantize;
  time.base_gather = rounds * (not_hidden(work.forward_flops) + not_hidden(work.backward_flops));
  if (mesh.tensor > 1) {
    time.tensor_reductions =
        rounds * all_reduce_seconds(target.cluster.link_of(mesh.tensor), mesh.tensor, static_cast<double>(work.reductions),
                                    static_cast<double>(work.reduced_bytes));
  }
  if (mesh.ranks() > 1) {
    const auto bytes = static_cast<double>(model.layout.count) * static_cast<double>(sizeof(std::int64_t));
    time.adapter_all_reduce = all_reduce_seconds(target.cluster.link_of(mesh.ranks()), mesh.ranks(), 1.0, bytes);
  }
  return time;
}

}  // namespace lora_dist
