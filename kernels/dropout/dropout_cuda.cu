// The CUDA side of dropout: a block per token; each thread draws the numbers of its own features and multiplies at once.
#include "kernels/common/cuda_group.h"
#include "kernels/common/philox.h"
#include "kernels/dropout/dropout.h"

namespace lora_dist {
namespace {

constexpr int kMostThreads = 256;

// The mask's parameters that all tokens share.
struct MaskOfCall {
  std::uint32_t key0 = 0;
  std::uint32_t key1 = 0;
  std::uint32_t layer_and_module = 0;
  std::uint32_t threshold = 0;
  float factor = 0.0F;             // 1 / (1 - p)
  std::int64_t first_feature = 0;  // a multiple of 4 where several are drawn at once
};

// factors[i]: 0 or 1 / (1 - p) for feature first + i. A counter gives four numbers; a lone element draws its four for itself.
template <int kCount>
__device__ Group<float, kCount> mask_factors(const MaskOfCall& mask, std::uint32_t position, std::uint32_t sample,
                                             std::int64_t first) {
  static_assert(kCount == 1 || kCount % 4 == 0);
  Group<float, kCount> factors;
  for (int i = 0; i < kCount; i += 4) {
    std::uint32_t bits[4] = {static_cast<std::uint32_t>((first + i) / 4), position, sample, mask.layer_and_module};
    philox4x32_rounds(bits, mask.key0, mask.key1);
    if constexpr (kCount == 1) {
      const int lane = static_cast<int>(first % 4);
      const std::uint32_t front = lane == 0 ? bits[0] : bits[1];
      const std::uint32_t back = lane == 2 ? bits[2] : bits[3];
      factors.v[0] = (lane < 2 ? front : back) < mask.threshold ? 0.0F : mask.factor;
    } else {
      for (int lane = 0; lane < 4; ++lane) {
        factors.v[i + lane] = bits[lane] < mask.threshold ? 0.0F : mask.factor;
      }
    }
  }
  return factors;
}

// kAdd: out += in * mask, else out = in * mask.
template <class T, int kCount, bool kAdd>
__global__ void dropout_token(const T* in, const std::int32_t* samples, const std::int32_t* positions, MaskOfCall mask, T* out,
                              std::int64_t features) {
  const auto position = static_cast<std::uint32_t>(positions[blockIdx.x]);
  const auto sample = static_cast<std::uint32_t>(samples[blockIdx.x]);
  const T* from = in + blockIdx.x * features;
  T* to = out + blockIdx.x * features;
  for (std::int64_t f = static_cast<std::int64_t>(threadIdx.x) * kCount; f < features;
       f += static_cast<std::int64_t>(blockDim.x) * kCount) {
    const Group<T, kCount> values = load_group<kCount>(from + f);
    Group<T, kCount> sum = {};
    if constexpr (kAdd) {
      sum = load_group<kCount>(to + f);
    }
    const Group<float, kCount> factors = mask_factors<kCount>(mask, position, sample, mask.first_feature + f);
    Group<T, kCount> result;
    for (int i = 0; i < kCount; ++i) {
      const float product = to_float(values.v[i]) * factors.v[i];
      result.v[i] = from_float<T>(kAdd ? to_float(sum.v[i]) + product : product);
    }
    store_group(to + f, result);
  }
}

template <class T, int kCount, bool kAdd>
void drop_tokens(ConstTensorView in, const std::int32_t* samples, const std::int32_t* positions, const MaskOfCall& mask,
                 TensorView out, const Stream& stream) {
  launch(kAdd ? "dropout_backward" : "dropout", dropout_token<T, kCount, kAdd>, blocks_for(in.rows(), 1),
         threads_for(in.cols() / kCount, 1, kMostThreads), 0, stream, floats<T>(in), samples, positions, mask, floats<T>(out),
         in.cols());
}

template <bool kAdd>
void dropout_either_way(ConstTensorView in, ConstTensorView samples, ConstTensorView positions, float p, const DropoutKey& key,
                        TensorView out, const Stream& stream) {
  require(in.shape.rank == 2 && in.shape == out.shape, "dropout: both views must be [tokens, features]");
  require(samples.count() == in.rows() && positions.count() == in.rows(), "dropout: samples and positions must be [tokens]");
  require(p >= 0.0F && p < 1.0F, "dropout: p must be in [0, 1)");
  require(key.module < 16, "dropout: module must be less than 16");
  const MaskOfCall mask = {.key0 = static_cast<std::uint32_t>(key.seed),
                           .key1 = static_cast<std::uint32_t>(key.seed >> 32) ^ (key.step * 0x9E3779B9U),
                           .layer_and_module = key.layer * 16 + key.module,
                           .threshold = static_cast<std::uint32_t>(static_cast<double>(p) * 0x1p32),
                           .factor = static_cast<float>(1.0 / (1.0 - static_cast<double>(p))),
                           .first_feature = key.first_feature};
  const std::int32_t* sample = samples.as<std::int32_t>();
  const std::int32_t* position = positions.as<std::int32_t>();
  with_float_type(in.dtype, [&](auto zero) {
    using T = decltype(zero);
    constexpr int kPack = Pack<T>::kCount;
    const bool packs = key.first_feature % 4 == 0 && fits_groups(in.cols(), kPack, {in.data, out.data});
    packs ? drop_tokens<T, kPack, kAdd>(in, sample, position, mask, out, stream)
          : drop_tokens<T, 1, kAdd>(in, sample, position, mask, out, stream);
  });
}

}  // namespace

void dropout_cuda(ConstTensorView x, ConstTensorView samples, ConstTensorView positions, float p, const DropoutKey& key,
                  TensorView y, const Stream& stream) {
  dropout_either_way<false>(x, samples, positions, p, key, y, stream);
}

void dropout_backward_cuda(ConstTensorView dy, ConstTensorView samples, ConstTensorView positions, float p, const DropoutKey& key,
                           TensorView dx, const Stream& stream) {
  dropout_either_way<true>(dy, samples, positions, p, key, dx, stream);
}

}  // namespace lora_dist
