// How long a step takes by a small model of it. All of it is arithmetic on data sheets and one assumed share; nothing is
// measured.
#pragma once

#include "src/plan/dry_run.h"

namespace lora_dist {

/// Parts of a step that follow one another, in seconds. Their sum is the step.
///
/// A data rank computes rounds() micro-batches, all of full size, in_flight() of them in each of its walks() through the blocks:
///   compute             FLOP / (device's FLOP/s * efficiency); on CPUs FLOP / (what a rank is said to reach)
///   dequantize          bytes read and written / memory rate; it runs beside products, but for the same memory
///   base_gather         what does not fit beside what is computed meanwhile. A block is gathered beside the one before it, its
///                       computing and dequantizing, forward and backward apart; two blocks of either way are in the slots, so
///                       two compute without a gather beside them. The head's first chunk comes beside the last block, each
///                       other one beside a visit of the chunk before; beside the embedding nothing is computed. An all-gather
///                       of a block or chunk over n ranks takes (n-1)/n * bytes / rate + (n-1) * latency (a ring), over MPI
///                       3 * latency: a message is announced, asked for and sent, to all ranks at once. A base on the host
///                       adds the copy of a block's slice over PCI Express
///   tensor_reductions   2 (n-1)/n * bytes / rate + 2 ceil(log2 n) * latency each (a tree); with sequence parallelism, a
///                       scattered sum and a gather take what an all-gather does. Counted whole, though over NCCL products run
///                       beside all but the last piece of a sum (src/transformer/tensor_parallel.h)
/// and once a step
///   adapter_all_reduce  the same over all ranks, 8 bytes a factor; over MPI 2 (n-1) steps of a ring with 3 * latency each,
///                       where sums_along_ring (src/comm/mpi_communicator.h)
/// Over MPI, sums over TP ranks are taken as a tree's and gathers of rows as those of the base, which is coarse; the pieces
/// of a long ring are not counted apart. A group that lies in one node uses the link of the node, any other one the link between
/// nodes throughout. The optimizer, norms, activations and the loading of data are in the assumed share.
struct StepTime {
  double compute = 0.0;
  double dequantize = 0.0;
  double base_gather = 0.0;
  double tensor_reductions = 0.0;
  double adapter_all_reduce = 0.0;
  double total() const { return compute + dequantize + base_gather + tensor_reductions + adapter_all_reduce; }
};

/// `work`: of the TP rank. Only for a target that is_timed().
StepTime time_of_step(const PlannedModel& model, const PlanTarget& target, const PlannedMesh& mesh, const StepShape& step,
                      const MicroBatchWork& work);

}  // namespace lora_dist
