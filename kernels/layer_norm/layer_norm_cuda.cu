// The CUDA side of LayerNorm: a block per token. The row is used three times but read from memory once: each thread keeps its
// first groups in registers, and issues all loads before it uses one.
#include "kernels/layer_norm/layer_norm.h"

#include "kernels/common/cuda_group.h"

namespace lora_dist {
namespace {

constexpr int kKept = 4;           // groups of a thread that stay in registers; the rest are read again
constexpr int kMostThreads = 512;  // 16384 halves are kept; 128 registers a thread remain

/// One thread's part of a row: its first kKept groups in registers, the rest in memory.
template <class T, int kCount>
struct RowPart {
  const T* row;
  int groups;
  Group<T, kCount> kept[kKept];

  __device__ void load(const T* from, std::int64_t hidden) {
    row = from;
    groups = static_cast<int>(hidden / kCount);
    for (int k = 0; k < kKept; ++k) {
      kept[k] = {};
      const int g = static_cast<int>(threadIdx.x + k * blockDim.x);
      if (g < groups) {
        kept[k] = load_group<kCount>(from + g * kCount);
      }
    }
  }

  /// Calls work(first element, group) for each of the thread's groups.
  template <class Work>
  __device__ void for_each(Work work) const {
    for (int k = 0; k < kKept; ++k) {
      const int g = static_cast<int>(threadIdx.x + k * blockDim.x);
      if (g < groups) {
        work(g * kCount, kept[k]);
      }
    }
    for (int g = static_cast<int>(threadIdx.x + kKept * blockDim.x); g < groups; g += static_cast<int>(blockDim.x)) {
      work(g * kCount, load_group<kCount>(row + g * kCount));
    }
  }
};

template <class T, int kCount>
__global__ void layer_norm_row(const T* x, const float* weight, const float* bias, float eps, T* y, float* mean, float* rstd,
                               std::int64_t hidden) {
  const auto width = static_cast<float>(hidden);
  T* out = y + blockIdx.x * hidden;
  RowPart<T, kCount> part;
  part.load(x + blockIdx.x * hidden, hidden);
  float sum = 0.0F;
  part.for_each([&](int, const Group<T, kCount>& group) {
    for (int i = 0; i < kCount; ++i) {
      sum += to_float(group.v[i]);
    }
  });
  const float m = block_sum(sum) / width;
  float squares = 0.0F;
  part.for_each([&](int, const Group<T, kCount>& group) {
    for (int i = 0; i < kCount; ++i) {
      const float centred = to_float(group.v[i]) - m;
      squares += centred * centred;
    }
  });
  const float r = 1.0F / sqrtf(block_sum(squares) / width + eps);
  if (threadIdx.x == 0) {
    mean[blockIdx.x] = m;
    rstd[blockIdx.x] = r;
  }
  part.for_each([&](int at, const Group<T, kCount>& group) {
    const Group<float, kCount> w = load_group<kCount>(weight + at);
    const Group<float, kCount> b = load_group<kCount>(bias + at);
    Group<T, kCount> written;
    for (int i = 0; i < kCount; ++i) {
      written.v[i] = from_float<T>((to_float(group.v[i]) - m) * r * w.v[i] + b.v[i]);
    }
    store_group(out + at, written);
  });
}

template <class T, int kCount>
__global__ void layer_norm_backward_row(const T* dy, const T* x, const float* weight, const float* mean, const float* rstd, T* dx,
                                        std::int64_t hidden) {
  const auto width = static_cast<float>(hidden);
  const T* row = x + blockIdx.x * hidden;
  T* out = dx + blockIdx.x * hidden;
  const float m = mean[blockIdx.x];
  const float r = rstd[blockIdx.x];
  RowPart<T, kCount> part;
  part.load(dy + blockIdx.x * hidden, hidden);
  float sum = 0.0F;
  float dot = 0.0F;
  part.for_each([&](int at, const Group<T, kCount>& gradient) {
    const Group<float, kCount> w = load_group<kCount>(weight + at);
    const Group<T, kCount> in = load_group<kCount>(row + at);
    for (int i = 0; i < kCount; ++i) {
      const float g = w.v[i] * to_float(gradient.v[i]);
      sum += g;
      dot += g * ((to_float(in.v[i]) - m) * r);
    }
  });
  const float mean_g = block_sum(sum) / width;
  const float along_x = block_sum(dot) / width;
  part.for_each([&](int at, const Group<T, kCount>& gradient) {
    const Group<float, kCount> w = load_group<kCount>(weight + at);
    const Group<T, kCount> in = load_group<kCount>(row + at);
    Group<T, kCount> total = load_group<kCount>(out + at);
    for (int i = 0; i < kCount; ++i) {
      const float change = r * (w.v[i] * to_float(gradient.v[i]) - mean_g - (to_float(in.v[i]) - m) * r * along_x);
      total.v[i] = from_float<T>(to_float(total.v[i]) + change);
    }
    store_group(out + at, total);
  });
}

template <class T, int kCount>
void norm_rows(const LayerNormArguments& a, const Stream& stream) {
  launch("layer_norm", layer_norm_row<T, kCount>, blocks_for(a.x.rows(), 1),
         threads_for(a.x.cols() / kCount, kKept, kMostThreads), 0, stream, floats<T>(a.x), a.weight.as<float>(),
         a.bias.as<float>(), a.eps, floats<T>(a.y), a.mean.as<float>(), a.rstd.as<float>(), a.x.cols());
}

template <class T, int kCount>
void norm_rows_backward(const LayerNormBackwardArguments& a, const Stream& stream) {
  launch("layer_norm_backward", layer_norm_backward_row<T, kCount>, blocks_for(a.x.rows(), 1),
         threads_for(a.x.cols() / kCount, kKept, kMostThreads), 0, stream, floats<T>(a.dy), floats<T>(a.x), a.weight.as<float>(),
         a.mean.as<float>(), a.rstd.as<float>(), floats<T>(a.dx), a.x.cols());
}

}  // namespace

void layer_norm_cuda(const LayerNormArguments& a, const Stream& stream) {
  check_layer_norm(a);
  with_float_type(a.x.dtype, [&](auto zero) {
    using T = decltype(zero);
    constexpr int kPack = Pack<T>::kCount;
    const bool packs = fits_groups(a.x.cols(), kPack, {a.x.data, a.weight.data, a.bias.data, a.y.data});
    packs ? norm_rows<T, kPack>(a, stream) : norm_rows<T, 1>(a, stream);
  });
}

void layer_norm_backward_cuda(const LayerNormBackwardArguments& a, const Stream& stream) {
  check_layer_norm_backward(a);
  with_float_type(a.x.dtype, [&](auto zero) {
    using T = decltype(zero);
    constexpr int kPack = Pack<T>::kCount;
    const bool packs = fits_groups(a.x.cols(), kPack, {a.dy.data, a.x.data, a.weight.data, a.dx.data});
    packs ? norm_rows_backward<T, kPack>(a, stream) : norm_rows_backward<T, 1>(a, stream);
  });
}

}  // namespace lora_dist
