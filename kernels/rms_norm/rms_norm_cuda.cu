// The CUDA side of RMSNorm: a block per token. The row is used twice but read from memory once: each thread keeps its first
// groups in registers, and issues all loads before it uses one.
#include "kernels/common/cuda_group.h"
#include "kernels/rms_norm/rms_norm.h"

namespace lora_dist {
namespace {

constexpr int kKept = 4;           // groups of a thread that stay in registers; the rest are read again
constexpr int kMostThreads = 512;  // 16384 halves are kept; 128 registers a thread remain

template <class T, int kCount>
__global__ void rms_norm_row(const T* x, const float* weight, float eps, T* y, float* rstd, std::int64_t hidden) {
  const T* row = x + blockIdx.x * hidden;
  T* out = y + blockIdx.x * hidden;
  const int groups = static_cast<int>(hidden / kCount);
  const int stride = static_cast<int>(blockDim.x);
  const int thread = static_cast<int>(threadIdx.x);
  Group<T, kCount> kept[kKept] = {};
  for (int k = 0; k < kKept; ++k) {
    const int g = thread + k * stride;
    if (g < groups) {
      kept[k] = load_group<kCount>(row + g * kCount);
    }
  }
  float sum = 0.0F;
  for (int k = 0; k < kKept; ++k) {
    for (int i = 0; i < kCount; ++i) {
      const float value = to_float(kept[k].v[i]);
      sum += value * value;
    }
  }
  for (int g = thread + kKept * stride; g < groups; g += stride) {
    const Group<T, kCount> group = load_group<kCount>(row + g * kCount);
    for (int i = 0; i < kCount; ++i) {
      const float value = to_float(group.v[i]);
      sum += value * value;
    }
  }
  const float r = 1.0F / sqrtf(block_sum(sum) / static_cast<float>(hidden) + eps);
  if (thread == 0) {
    rstd[blockIdx.x] = r;
  }
  const auto write_group = [&](int g, const Group<T, kCount>& group) {
    const Group<float, kCount> w = load_group<kCount>(weight + g * kCount);
    Group<T, kCount> scaled;
    for (int i = 0; i < kCount; ++i) {
      scaled.v[i] = from_float<T>(to_float(group.v[i]) * r * w.v[i]);
    }
    store_group(out + g * kCount, scaled);
  };
  for (int k = 0; k < kKept; ++k) {
    const int g = thread + k * stride;
    if (g < groups) {
      write_group(g, kept[k]);
    }
  }
  for (int g = thread + kKept * stride; g < groups; g += stride) {
    write_group(g, load_group<kCount>(row + g * kCount));
  }
}

template <class T, int kCount>
__global__ void rms_norm_backward_row(const T* dy, const T* x, const float* weight, const float* rstd, T* dx,
                                      std::int64_t hidden) {
  const T* gradient = dy + blockIdx.x * hidden;
  const T* row = x + blockIdx.x * hidden;
  T* out = dx + blockIdx.x * hidden;
  const int groups = static_cast<int>(hidden / kCount);
  const int stride = static_cast<int>(blockDim.x);
  const int thread = static_cast<int>(threadIdx.x);
  Group<T, kCount> kept_dy[kKept] = {};
  Group<T, kCount> kept_x[kKept] = {};
  for (int k = 0; k < kKept; ++k) {
    const int g = thread + k * stride;
    if (g < groups) {
      kept_dy[k] = load_group<kCount>(gradient + g * kCount);
      kept_x[k] = load_group<kCount>(row + g * kCount);
    }
  }
  float dot = 0.0F;
  const auto add_to_dot = [&](int g, const Group<T, kCount>& d, const Group<T, kCount>& in) {
    const Group<float, kCount> w = load_group<kCount>(weight + g * kCount);
    for (int i = 0; i < kCount; ++i) {
      dot += w.v[i] * to_float(d.v[i]) * to_float(in.v[i]);
    }
  };
  for (int k = 0; k < kKept; ++k) {
    const int g = thread + k * stride;
    if (g < groups) {
      add_to_dot(g, kept_dy[k], kept_x[k]);
    }
  }
  for (int g = thread + kKept * stride; g < groups; g += stride) {
    add_to_dot(g, load_group<kCount>(gradient + g * kCount), load_group<kCount>(row + g * kCount));
  }
  const float r = rstd[blockIdx.x];
  const float along_x = block_sum(dot) / static_cast<float>(hidden) * r * r;
  const auto add_group = [&](int g, const Group<T, kCount>& d, const Group<T, kCount>& in) {
    const Group<float, kCount> w = load_group<kCount>(weight + g * kCount);
    Group<T, kCount> sum = load_group<kCount>(out + g * kCount);
    for (int i = 0; i < kCount; ++i) {
      const float change = r * (w.v[i] * to_float(d.v[i]) - to_float(in.v[i]) * along_x);
      sum.v[i] = from_float<T>(to_float(sum.v[i]) + change);
    }
    store_group(out + g * kCount, sum);
  };
  for (int k = 0; k < kKept; ++k) {
    const int g = thread + k * stride;
    if (g < groups) {
      add_group(g, kept_dy[k], kept_x[k]);
    }
  }
  for (int g = thread + kKept * stride; g < groups; g += stride) {
    add_group(g, load_group<kCount>(gradient + g * kCount), load_group<kCount>(row + g * kCount));
  }
}

template <class T, int kCount>
void norm_rows(ConstTensorView x, const float* weight, float eps, TensorView y, float* rstd, const Stream& stream) {
  launch("rms_norm", rms_norm_row<T, kCount>, blocks_for(x.rows(), 1), threads_for(x.cols() / kCount, kKept, kMostThreads), 0,
         stream, floats<T>(x), weight, eps, floats<T>(y), rstd, x.cols());
}

template <class T, int kCount>
void norm_rows_backward(ConstTensorView dy, ConstTensorView x, const float* weight, const float* rstd, TensorView dx,
                        const Stream& stream) {
  launch("rms_norm_backward", rms_norm_backward_row<T, kCount>, blocks_for(x.rows(), 1),
         threads_for(x.cols() / kCount, kKept, kMostThreads), 0, stream, floats<T>(dy), floats<T>(x), weight, rstd, floats<T>(dx),
         x.cols());
}

}  // namespace

void rms_norm_cuda(ConstTensorView x, ConstTensorView weight, float eps, TensorView y, TensorView rstd, const Stream& stream) {
  require(x.shape.rank == 2 && x.shape == y.shape, "rms_norm: x and y must be [tokens, hidden]");
  require(weight.count() == x.cols(), "rms_norm: weight must be [hidden]");
  require(rstd.count() == x.rows(), "rms_norm: rstd must be [tokens]");
  const float* w = weight.as<float>();
  float* r = rstd.as<float>();
  with_float_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    constexpr int kPack = Pack<T>::kCount;
    const bool packs = fits_groups(x.cols(), kPack, {x.data, w, y.data});
    packs ? norm_rows<T, kPack>(x, w, eps, y, r, stream) : norm_rows<T, 1>(x, w, eps, y, r, stream);
  });
}

void rms_norm_backward_cuda(ConstTensorView dy, ConstTensorView x, ConstTensorView weight, ConstTensorView rstd, TensorView dx,
                            const Stream& stream) {
  require(x.shape.rank == 2 && x.shape == dy.shape && x.shape == dx.shape,
          "rms_norm_backward: dy, x and dx must be [tokens, hidden]");
  require(weight.count() == x.cols(), "rms_norm_backward: weight must be [hidden]");
  require(rstd.count() == x.rows(), "rms_norm_backward: rstd must be [tokens]");
  const float* w = weight.as<float>();
  const float* r = rstd.as<float>();
  with_float_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    constexpr int kPack = Pack<T>::kCount;
    const bool packs = fits_groups(x.cols(), kPack, {dy.data, x.data, w, dx.data});
    packs ? norm_rows_backward<T, kPack>(dy, x, w, r, dx, stream) : norm_rows_backward<T, 1>(dy, x, w, r, dx, stream);
  });
}

}  // namespace lora_dist
