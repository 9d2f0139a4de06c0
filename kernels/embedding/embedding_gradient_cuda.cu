// The CUDA side of embedding_gradient: a block of threads a token. The block of the first token of an id adds all tokens of that
// id, so no two blocks write one row.
#include "kernels/common/cuda_kernel.h"
#include "kernels/embedding/embedding_gradient.h"

namespace lora_dist {
namespace {

constexpr int kThreads = 128;

template <class T>
__global__ void gradient_of_id(const std::int32_t* ids, std::int64_t tokens, std::int64_t first, const T* dx, float scale,
                               float* table, std::int64_t rows, std::int64_t hidden) {
  const std::int64_t mine = blockIdx.x;
  const std::int32_t id = ids[mine];
  if (id - first < 0 || id - first >= rows) {
    return;
  }
  for (std::int64_t t = 0; t < mine; ++t) {
    if (ids[t] == id) {
      return;
    }
  }
  float* row = table + (id - first) * hidden;
  for (std::int64_t t = mine; t < tokens; ++t) {
    if (ids[t] != id) {
      continue;
    }
    for (std::int64_t j = threadIdx.x; j < hidden; j += blockDim.x) {
      row[j] += scale * to_float(dx[t * hidden + j]);
    }
  }
}

}  // namespace

void embedding_gradient_cuda(ConstTensorView ids, std::int64_t first, ConstTensorView dx, float scale, TensorView table,
                             const Stream& stream) {
  check_embedding_gradient(ids, dx, table);
  with_float_type(dx.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch("embedding_gradient", gradient_of_id<T>, blocks_for(ids.count(), 1), kThreads, 0, stream, ids.as<std::int32_t>(),
           ids.count(), first, floats<T>(dx), scale, table.as<float>(), table.rows(), table.cols());
  });
}

}  // namespace lora_dist
