// The CUDA side of embedding, of a part of it, and of add_rows: a block of threads a token, as many elements each as 16 bytes of
// the wider type hold.
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

/// How an output row is written, and how for an id outside the table.
enum class Rows : std::uint8_t { write_or_nan, write_or_keep, add_or_nan };

template <class From, class To, int kCount, Rows kRows>
__global__ void embedding_row(const std::int32_t* ids, std::int64_t first, const From* table, To* out, std::int64_t vocab,
                              std::int64_t hidden) {
  constexpr bool kAdds = kRows == Rows::add_or_nan;
  const std::int64_t id = ids[blockIdx.x] - first;
  const bool known = id >= 0 && id < vocab;
  if (kRows == Rows::write_or_keep && !known) {
    return;
  }
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

template <class From, class To, int kCount, Rows kRows>
void launch_rows(ConstTensorView ids, std::int64_t first, ConstTensorView table, TensorView out, const Stream& stream) {
  launch(kRows == Rows::add_or_nan ? "add_rows" : "embedding", embedding_row<From, To, kCount, kRows>, blocks_for(ids.count(), 1),
         threads_for(table.cols() / kCount, kGroupsPerThread, kMostThreads), 0, stream, ids.as<std::int32_t>(), first,
         floats<From>(table), floats<To>(out), table.rows(), table.cols());
}

template <Rows kRows>
void each_row(ConstTensorView ids, std::int64_t first, ConstTensorView table, TensorView out, const Stream& stream) {
  check_embedding(ids, table, out);
  with_float_type(table.dtype, [&](auto from_zero) {
    with_float_type(out.dtype, [&](auto to_zero) {
      using From = decltype(from_zero);
      using To = decltype(to_zero);
      constexpr int kPack = std::min(Pack<From>::kCount, Pack<To>::kCount);
      const bool packs = fits_groups(table.cols(), kPack, {table.data, out.data});
      packs ? launch_rows<From, To, kPack, kRows>(ids, first, table, out, stream)
            : launch_rows<From, To, 1, kRows>(ids, first, table, out, stream);
    });
  });
}

}  // namespace

void embedding_cuda(ConstTensorView ids, ConstTensorView table, TensorView out, const Stream& stream) {
  each_row<Rows::write_or_nan>(ids, 0, table, out, stream);
}

void embedding_part_cuda(ConstTensorView ids, std::int64_t first, ConstTensorView table, TensorView out, const Stream& stream) {
  each_row<Rows::write_or_keep>(ids, first, table, out, stream);
}

void add_rows_cuda(ConstTensorView table, ConstTensorView index, TensorView y, const Stream& stream) {
  each_row<Rows::add_or_nan>(index, 0, table, y, stream);
}

}  // namespace lora_dist
