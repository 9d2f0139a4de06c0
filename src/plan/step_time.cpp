// The time model.
#include "src/plan/step_time.h"

#include <algorithm>
#include <bit>

#include "kernels/common/check.h"
#include "src/comm/mpi_communicator.h"

namespace lora_dist {

namespace {

constexpr double kHostCopyRate = 25e9;  // bytes per second over PCI Express 4 x16

// Latencies of a large MPI message: announcement, request, data.
constexpr double kMpiLatencies = 3.0;

bool is_over_mpi(const PlannedModel& model, const PlanTarget& target) {
  return !target.on_device() || model.config.parallel.communicator == CommunicatorKind::mpi;
}

double all_gather_seconds(const Link& link, int ranks, double calls, double bytes, bool over_mpi) {
  const double others = ranks - 1;
  return bytes * others / ranks / link.rate + calls * (over_mpi ? kMpiLatencies : others) * link.latency;
}

double all_reduce_seconds(const Link& link, int ranks, double calls, double bytes) {
  const int levels = std::bit_width(static_cast<unsigned>(ranks - 1));  // log2, rounded up
  return 2.0 * bytes * (ranks - 1) / ranks / link.rate + calls * 2.0 * levels * link.latency;
}

double tensor_seconds(const Link& link, int ranks, const CollectiveCount& work, bool over_mpi) {
  const auto scattered = static_cast<double>(work.scattered_bytes);
  const auto gathered = static_cast<double>(work.gathered_bytes * ranks);
  return all_reduce_seconds(link, ranks, static_cast<double>(work.sums), static_cast<double>(work.summed_bytes)) +
         all_gather_seconds(link, ranks, static_cast<double>(work.scatters), scattered, over_mpi) +
         all_gather_seconds(link, ranks, static_cast<double>(work.gathers), gathered, over_mpi);
}

/// As in MpiCommunicator.
double mpi_all_reduce_seconds(const Link& link, int ranks, double bytes) {
  if (!sums_along_ring(static_cast<std::size_t>(bytes), ranks)) {
    return all_reduce_seconds(link, ranks, 1.0, bytes);
  }
  const double steps = 2.0 * (ranks - 1);
  return steps * (bytes / ranks / link.rate + kMpiLatencies * link.latency);
}

double gather_seconds(const PlannedModel& model, const PlanTarget& target, const PlannedMesh& mesh, const FetchWork& work) {
  if (!mesh.gathers()) {
    return 0.0;
  }
  const Link& link = target.cluster.link_of(std::int64_t{mesh.shards} * mesh.tensor);
  return all_gather_seconds(link, mesh.shards, static_cast<double>(work.fetches), static_cast<double>(work.bytes),
                            is_over_mpi(model, target));
}

/// Seconds to fetch half of a micro-batch's blocks: one way.
double fetch_seconds(const PlannedModel& model, const PlanTarget& target, const PlannedMesh& mesh, const FetchWork& blocks) {
  const bool on_host = model.config.parallel.base_device == BaseDevice::host;
  const double copied = on_host ? static_cast<double>(blocks.slice_bytes) / kHostCopyRate : 0.0;
  return (gather_seconds(model, target, mesh, blocks) + copied) / 2.0;
}

/// The wait for the head: its first chunk is fetched beside the last block, each other chunk beside a visit of the chunk before.
double head_wait(const PlannedModel& model, const PlanTarget& target, const PlannedMesh& mesh, const MicroBatchWork& work,
                 double block_seconds) {
  if (work.head.fetches == 0) {
    return 0.0;
  }
  const double gather = gather_seconds(model, target, mesh, work.head) / static_cast<double>(work.head.fetches);
  const double visit = work.head_flops / target.flops() / static_cast<double>(2 * work.head_chunks);
  return std::max(0.0, gather - block_seconds) + static_cast<double>(work.head.fetches - 1) * std::max(0.0, gather - visit);
}

}  // namespace

StepTime time_of_step(const PlannedModel& model, const PlanTarget& target, const PlannedMesh& mesh, const StepShape& step,
                      const MicroBatchWork& work) {
  require(target.is_timed(), "a time is predicted for a device, or a rate of CPUs");
  const double flops = target.flops();
  const auto rounds = static_cast<double>(step.rounds(mesh.data));
  const auto walks = static_cast<double>(step.walks(mesh.data));
  const auto in_flight = static_cast<double>(step.in_flight(mesh.data));
  const double dequantize = target.on_device() ? work.dequantized_bytes / target.device->memory_rate : 0.0;
  const double fetch = fetch_seconds(model, target, mesh, work.blocks);
  const double embedding = gather_seconds(model, target, mesh, work.embedding);
  const auto layers = static_cast<double>(model.spec.layers);
  const double head = head_wait(model, target, mesh, work, in_flight * work.forward_flops / flops / layers);
  // Blocks that are still in the slots need no fetch.
  const double beside = static_cast<double>(work.blocks.fetches) / 2.0 / layers;
  const auto not_hidden = [&](double block_flops) {
    return std::max(0.0, fetch - beside * in_flight * block_flops / flops - dequantize / 2.0);
  };
  StepTime time;
  time.compute =
      (rounds * (work.forward_flops + work.backward_flops + work.head_flops) + (rounds - walks) * work.last_recompute_flops) /
      flops;
  time.dequantize = walks * dequantize;
  time.base_gather = walks * (embedding + head + not_hidden(work.forward_flops) + not_hidden(work.backward_flops));
  if (mesh.tensor > 1) {
    time.tensor_reductions =
        rounds * tensor_seconds(target.cluster.link_of(mesh.tensor), mesh.tensor, work.tensor, is_over_mpi(model, target));
  }
  if (mesh.ranks() > 1) {
    const auto bytes = static_cast<double>(model.layout.used_count()) * static_cast<double>(sizeof(std::int64_t));
    const Link& link = target.cluster.link_of(mesh.ranks());
    time.adapter_all_reduce = is_over_mpi(model, target) ? mpi_all_reduce_seconds(link, mesh.ranks(), bytes)
                                                         : all_reduce_seconds(link, mesh.ranks(), 1.0, bytes);
  }
  if (mesh.gathers()) {  // of the base's own gradients; 0 if it is frozen
    const Link& link = target.cluster.link_of(std::int64_t{mesh.shards} * mesh.tensor);
    time.adapter_all_reduce +=
        walks * all_gather_seconds(link, mesh.shards, static_cast<double>(work.gradients.scatters),
                                   static_cast<double>(work.gradients.scattered_bytes), is_over_mpi(model, target));
  }
  return time;
}

}  // namespace lora_dist
