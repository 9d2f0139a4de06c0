// The CUDA side of embedding and add_rows: a block of threads a token, as many elements each as 16 bytes of the wider type hold.
#include "kernels/embedding/embedding.h"

#include <algorithm>
#include <limits>

#include "kernels/common/cuda_group.h"
#include "kernels/common/cuda_kernel.h"

namespace lora_dist {
namespace {

constexpr int kMostThreads = 256;
constexpr int kGroupsPerThread = 2;
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// out = the row of the table, or out += it where `kAdds`.
template <class From, class To, int kCount, bool kAdds>
__global__ void embedding_row(const std::int32_t* ids, const From* table, To* out, std::int64_t vocab, std::int64_t hidden) {
  const std::int64_t id = ids[blockIdx.x];
  const bool known = id >= 0 && id < vocab;
  const From* from = table + (known ? id * hidden : 0);
  To* to = out + blockIdx.x * hidden;
  for (std::int64_t c = static_cast<std::int64_t>(threadIdx.x) * kCount; c < hidden; c += blockDim.x * kCount) {
    Group<From, kCount> row = {};
    if (known) {
      row = load_group<kCount>(from + c);
    }
    Group<To, kCount> written = {};
    if constexpr (kAdds) {
      written = load_group<kCount>(to + c);
    }
    for (int i = 0; i < kCount; ++i) {
      const float value = known ? to_float(row.v[i]) : kNaN;
      written.v[i] = from_float<To>(kAdds ? to_float(written.v[i]) + value : value);
    }
    store_group(to + c, written);
  }
}

template <class From, class To, int kCount, bool kAdds>
void launch_rows(ConstTensorView ids, ConstTensorView table, TensorView out, const Stream& stream) {
  launch(kAdds ? "add_rows" : "embedding", embedding_row<From, To, kCount, kAdds>, blocks_for(ids.count(), 1),
         threads_for(table.cols() / kCount, kGroupsPerThread, kMostThreads), 0, stream, ids.as<std::int32_t>(),
         floats<From>(table), floats<To>(out), table.rows(), table.cols());
}

template <bool kAdds>
void each_row(ConstTensorView ids, ConstTensorView table, TensorView out, const Stream& stream) {
  require(table.shape.rank == 2, "embedding: the table must be [vocab, hidden]");
  require(out.shape == Shape{ids.count(), table.cols()}, "embedding: out must be [tokens, hidden]");
  with_float_type(table.dtype, [&](auto from_zero) {
    with_float_type(out.dtype, [&](auto to_zero) {
      using From = decltype(from_zero);
      using To = decltype(to_zero);
      constexpr int kPack = std::min(Pack<From>::kCount, Pack<To>::kCount);
      const bool packs = fits_groups(table.cols(), kPack, {table.data, out.data});
      packs ? launch_rows<From, To, kPack, kAdds>(ids, table, out, stream)
            : launch_rows<From, To, 1, kAdds>(ids, table, out, stream);
    });
  });
}

}  // namespace

void embedding_cuda(ConstTensorView ids, ConstTensorView table, TensorView out, const Stream& stream) {
  each_row<false>(ids, table, out, stream);
}

void add_rows_cuda(ConstTensorView table, ConstTensorView index, TensorView y, const Stream& stream) {
  each_row<true>(index, table, y, stream);
}

}  // namespace lora_dist
