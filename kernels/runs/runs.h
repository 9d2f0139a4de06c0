// Between a whole flat buffer and a part of it that lies in runs: how adapter factors are cut.
#pragma once

#include "kernels/common/dispatch.h"
#include "kernels/common/runs.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

/// part = the runs of whole, end to end. whole: f32 [at least runs.end()]; part: f32 [runs.elements()].
void take_runs_cpu(ConstTensorView whole, const Runs& runs, TensorView part, const Stream& stream);
void take_runs_cuda(ConstTensorView whole, const Runs& runs, TensorView part, const Stream& stream);

/// whole += part, each element at its place. part: i64 [runs.elements()]; whole: i64 [at least runs.end()]. Runs do not overlap.
void add_runs_cpu(ConstTensorView part, const Runs& runs, TensorView whole, const Stream& stream);
void add_runs_cuda(ConstTensorView part, const Runs& runs, TensorView whole, const Stream& stream);

inline void take_runs(ConstTensorView whole, const Runs& runs, TensorView part, const Stream& stream) {
  LORA_DIST_DISPATCH(take_runs, stream, whole, runs, part);
}
inline void add_runs(ConstTensorView part, const Runs& runs, TensorView whole, const Stream& stream) {
  LORA_DIST_DISPATCH(add_runs, stream, part, runs, whole);
}

/// Throws KernelError unless the views have these sizes.
inline void check_runs(ConstTensorView whole, const Runs& runs, ConstTensorView part) {
  require(runs.count >= 0 && runs.length >= 0 && runs.start >= 0 && (runs.count <= 1 || runs.stride >= runs.length),
          "runs: they must not overlap");
  require(part.count() == runs.elements(), "runs: the part must have the elements of its runs");
  require(runs.end() <= whole.count(), "runs: they reach beyond the whole");
}

}  // namespace lora_dist
