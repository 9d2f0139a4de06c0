// The CUDA side of take_runs and add_runs: a thread an element.
#include "kernels/common/cuda_kernel.h"
#include "kernels/runs/runs.h"

namespace lora_dist {
namespace {

constexpr int kThreads = 256;

/// kAdds: whole += part, else part = whole.
template <class T, bool kAdds>
__global__ void move_runs(T* whole, T* part, Runs runs) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= runs.count * runs.length) {
    return;
  }
  const std::int64_t run = i / runs.length;
  T* place = whole + runs.start + run * runs.stride + i % runs.length;
  if constexpr (kAdds) {
    *place += part[i];
  } else {
    part[i] = *place;
  }
}

template <class T, bool kAdds>
void launch_runs(T* whole, T* part, const Runs& runs, const Stream& stream) {
  if (runs.elements() > 0) {
    launch(kAdds ? "add_runs" : "take_runs", move_runs<T, kAdds>, blocks_for(runs.elements(), kThreads), kThreads, 0, stream,
           whole, part, runs);
  }
}

}  // namespace

void take_runs_cuda(ConstTensorView whole, const Runs& runs, TensorView part, const Stream& stream) {
  check_runs(whole, runs, part);
  launch_runs<float, false>(const_cast<float*>(whole.as<float>()), part.as<float>(), runs, stream);  // which is only read
}

void add_runs_cuda(ConstTensorView part, const Runs& runs, TensorView whole, const Stream& stream) {
  check_runs(whole, runs, part);
  launch_runs<std::int64_t, true>(whole.as<std::int64_t>(), const_cast<std::int64_t*>(part.as<std::int64_t>()), runs, stream);
}

}  // namespace lora_dist
