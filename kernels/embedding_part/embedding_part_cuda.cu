// The CUDA side of embedding_part: a block of threads a token.
#include "kernels/common/cuda_kernel.h"
#include "kernels/embedding_part/embedding_part.h"

namespace lora_dist {
namespace {

constexpr int kThreads = 128;

template <class From, class To>
__global__ void embedding_part_row(const std::int32_t* ids, std::int64_t first, const From* table, To* out, std::int64_t rows,
                                   std::int64_t hidden) {
  const std::int64_t row = ids[blockIdx.x] - first;
  if (row < 0 || row >= rows) {
    return;
  }
  To* to = out + blockIdx.x * hidden;
  for (std::int64_t c = threadIdx.x; c < hidden; c += kThreads) {
    to[c] = from_float<To>(to_float(table[row * hidden + c]));
  }
}

}  // namespace

void embedding_part_cuda(ConstTensorView ids, std::int64_t first, ConstTensorView table, TensorView out, const Stream& stream) {
  check_embedding_part(ids, table, out);
  with_float_type(table.dtype, [&](auto from_zero) {
    with_float_type(out.dtype, [&](auto to_zero) {
      using From = decltype(from_zero);
      using To = decltype(to_zero);
      launch("embedding_part", embedding_part_row<From, To>, blocks_for(ids.count(), 1), kThreads, 0, stream,
             ids.as<std::int32_t>(), first, floats<From>(table), floats<To>(out), table.rows(), table.cols());
    });
  });
}

}  // namespace lora_dist
