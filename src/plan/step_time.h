// Predicts the duration of a step by a small model: arithmetic on data sheets and one assumed efficiency, without measurements.
#pragma once

#include "src/plan/dry_run.h"

namespace lora_dist {

/// Consecutive parts of a step, in seconds. Their sum is the step.
///
/// A data rank computes rounds() micro-batches, all of full size, in_flight() of them per walk; it makes walks() walks:
///   compute             FLOP / (device's FLOP/s * efficiency); on CPUs FLOP / (the given FLOP/s)
///   dequantize          bytes read and written / memory rate; it runs beside products, but uses the same memory
///   base_gather         the part that computation does not hide. A block is gathered beside the previous block's computing and
///                       dequantizing, forward and backward apart; two blocks of either direction are in the slots, so two
///                       compute without a gather beside them. The head's first chunk is gathered beside the last block, each
///                       other chunk beside a visit of the chunk before; the embedding hides nothing. An all-gather of a block
///                       or chunk over n ranks takes (n-1)/n * bytes / rate + (n-1) * latency (a ring), over MPI 3 * latency:
///                       announcement, request and data, to all ranks at once. A base on the host adds the copy of a block's
///                       slice over PCI Express
///   tensor_reductions   2 (n-1)/n * bytes / rate + 2 ceil(log2 n) * latency each (a tree); with sequence parallelism, a
///                       reduce-scatter and a gather take as long as an all-gather. Counted whole, though over NCCL products run
///                       beside all but the last piece of a sum (src/transformer/tensor_parallel.h)
/// and once per step
///   adapter_all_reduce  the same over all ranks, 8 bytes per factor; over MPI 2 (n-1) steps of a ring with 3 * latency each
///                       if sums_along_ring (src/comm/mpi_communicator.h)
/// Over MPI, sums over TP ranks count as a tree, and gathers of rows as those of the base, which is coarse; pieces of a long ring
/// are not counted separately. A group within one node uses the node's link, any other group the link between nodes. The assumed
/// efficiency includes the optimizer, norms, activations and data loading.
struct StepTime {
  double compute = 0.0;
  double dequantize = 0.0;
  double base_gather = 0.0;
  double tensor_reductions = 0.0;
  double adapter_all_reduce = 0.0;
  double total() const { return compute + dequantize + base_gather + tensor_reductions + adapter_all_reduce; }
};

/// `work`: of the TP rank. The target must be is_timed().
StepTime time_of_step(const PlannedModel& model, const PlanTarget& target, const PlannedMesh& mesh, const StepShape& step,
                      const MicroBatchWork& work);

}  // namespace lora_dist
