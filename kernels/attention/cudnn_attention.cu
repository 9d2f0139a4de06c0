// Attention by cuDNN's fused kernels. Graphs are made for sizes rounded up, so that a few graphs serve all batches.
#include "kernels/attention/cudnn_attention.h"

#include <algorithm>
#include <bit>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

#include "kernels/attention/attention_cuda.h"
#include "kernels/attention/cudnn_graph.h"
#include "kernels/common/device.h"

namespace lora_dist {
namespace {

using fused_attention::CachedGraph;
using fused_attention::GraphKey;

constexpr std::size_t kMostGraphs = 256;
constexpr std::int64_t kMostSegments = 32768;

// Device arrays of segment offsets and lengths. Entries past the last segment describe empty segments.
struct Offsets {
  std::int64_t* q = nullptr;   // [kMostSegments + 1], as the next two
  std::int64_t* kv = nullptr;  // where a graph reads [batch + 1]
  std::int64_t* stats = nullptr;
  std::int32_t* lengths = nullptr;  // [kMostSegments]
};
constexpr std::size_t kOffsetsBytes = (kMostSegments + 1) * 3 * sizeof(std::int64_t) + kMostSegments * sizeof(std::int32_t);

struct FusedAttention final : CudaExtension {
  FusedAttention() = default;
  ~FusedAttention() override {
    graphs.clear();
    free_device(offsets.q);
    if (handle != nullptr) {
      fused_attention::close_cudnn(handle);
    }
  }

  cudnnHandle_t handle = nullptr;  // null: cuDNN is missing or too old
  std::map<GraphKey, CachedGraph> graphs;
  Offsets offsets;
};

// Sized for kMostSegments, so that no batch causes an allocation.
Offsets allocate_offsets() {
  Offsets offsets;
  offsets.q = static_cast<std::int64_t*>(allocate_device(kOffsetsBytes));
  offsets.kv = offsets.q + kMostSegments + 1;
  offsets.stats = offsets.kv + kMostSegments + 1;
  offsets.lengths = reinterpret_cast<std::int32_t*>(offsets.stats + kMostSegments + 1);
  return offsets;
}

FusedAttention& fused_of(const Stream& stream) {
  CudaContext& context = cuda_context(stream);
  if (!context.attention) {
    auto made = std::make_unique<FusedAttention>();
    made->handle = fused_attention::open_cudnn(context.stream);
    if (made->handle != nullptr) {
      made->offsets = allocate_offsets();
      context.extension_bytes += kOffsetsBytes;
    }
    context.attention = std::move(made);
  }
  return static_cast<FusedAttention&>(*context.attention);
}

// The outputs that are set to NaN for invalid segments; null pointers are skipped.
template <class T>
struct Outputs {
  T* like_q;
  T* like_k;
  T* like_v;
  float* log_sum_exp;
};

// A block per segment of the graph, of which `segments` exist.
template <class T>
__global__ void attention_offsets(const std::int32_t* starts, std::int64_t segments, std::int64_t tokens, std::int64_t longest,
                                  std::int64_t q_stride, std::int64_t kv_stride, std::int64_t heads, Outputs<T> outputs,
                                  Offsets offsets) {
  namespace tiles = attention_device;
  const std::int64_t s = blockIdx.z;
  tiles::Segment segment = {tokens, tokens, 0, 0, true};
  if (s < segments) {
    segment = tiles::block_segment(starts, starts, tokens, tokens, longest);
    if (!segment.sound) {
      if (outputs.like_q != nullptr) {
        tiles::spoil(segment, outputs.like_q, q_stride, 0, static_cast<int>(q_stride));
      }
      if (outputs.like_k != nullptr) {
        tiles::spoil(segment, outputs.like_k, kv_stride, 0, static_cast<int>(kv_stride));
        tiles::spoil(segment, outputs.like_v, kv_stride, 0, static_cast<int>(kv_stride));
      }
      if (outputs.log_sum_exp != nullptr) {
        tiles::spoil(segment, outputs.log_sum_exp, heads, 0, static_cast<int>(heads));
      }
    }
  }
  if (threadIdx.x == 0) {
    offsets.q[s] = segment.query * q_stride;
    offsets.kv[s] = segment.query * kv_stride;
    offsets.stats[s] = segment.query * heads;
    offsets.lengths[s] = segment.sound ? segment.queries : 0;
    if (s + 1 == gridDim.z) {
      offsets.q[s + 1] = tokens * q_stride;
      offsets.kv[s + 1] = tokens * kv_stride;
      offsets.stats[s + 1] = tokens * heads;
    }
  }
}

const CachedGraph& graph_for(FusedAttention& fused, const GraphKey& key) {
  const auto known = fused.graphs.find(key);
  if (known != fused.graphs.end()) {
    return known->second;
  }
  CachedGraph made = fused_attention::make_graph(fused.handle, key);
  if (fused.graphs.size() >= kMostGraphs) {
    fused.graphs.clear();
  }
  return fused.graphs.emplace(key, std::move(made)).first->second;
}

// Accepts a graph only if its workspace is small: our own kernels need almost none.
bool worth_it(const CachedGraph& cached) {
  return cached.graph != nullptr && cached.workspace_bytes <= 2 * fused_attention::kPartBytes;
}

// A window at least as long as every segment masks nothing. Shorter windows use our own
// kernels: these graphs do not support them.
bool window_matters(ConstTensorView q, const AttentionShape& shape) {
  return shape.window > 0 && shape.window < attention_device::longest_segment(shape, q.rows());
}

bool takes(ConstTensorView q, std::int64_t segments, const AttentionShape& shape) {
  constexpr int kMostDims = 256;
  return (q.dtype == DType::bf16 || q.dtype == DType::f16) && shape.head_dim % 8 == 0 && shape.head_dim <= kMostDims &&
         segments <= kMostSegments && !window_matters(q, shape) && shape.soft_cap == 0.0F;
}

GraphKey key_of(ConstTensorView q, ConstTensorView k, std::int64_t segments, const AttentionShape& shape) {
  GraphKey key;
  key.dtype = q.dtype;
  key.batch = static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(segments)));
  key.heads = shape.heads;
  key.kv_heads = shape.kv_heads;
  key.q_stride = q.cols();
  key.kv_stride = k.cols();
  key.stats_stride = shape.heads;
  key.dim = shape.head_dim;
  key.longest = fused_attention::rounded_length(attention_device::longest_segment(shape, q.rows()));
  key.scale = shape.scale;
  return key;
}

struct Operand {
  std::int64_t name;
  const void* data;
  bool of_keys;
};

bool aligned(std::initializer_list<Operand> operands) {
  return std::all_of(operands.begin(), operands.end(),
                     [](const Operand& operand) { return reinterpret_cast<std::uintptr_t>(operand.data) % 16 == 0; });
}

// Launches the graph for each part of the batch and of the heads.
void execute(const CachedGraph& cached, const GraphKey& key, const AttentionShape& shape, std::int64_t segments,
             const Offsets& offsets, std::initializer_list<Operand> operands, const void* log_sum_exp, const Stream& stream) {
  constexpr std::int64_t kElement = 2;  // bytes
  FusedAttention& fused = fused_of(stream);
  void* workspace =
      cached.workspace_bytes > 0 ? operator_scratch(stream, static_cast<std::size_t>(cached.workspace_bytes)) : nullptr;
  std::unordered_map<std::int64_t, void*> memory;
  const auto moved = [](const void* data, std::int64_t bytes) {
    return const_cast<char*>(static_cast<const char*>(data)) + bytes;  // cuDNN's variant pack has no const pointers
  };
  for (std::int64_t first = 0; first < segments; first += key.batch) {
    memory[fused_attention::kQStarts] = offsets.q + first;
    memory[fused_attention::kKvStarts] = offsets.kv + first;
    memory[fused_attention::kStatsStarts] = offsets.stats + first;
    memory[fused_attention::kLengths] = offsets.lengths + first;
    for (std::int64_t kv_head = 0; kv_head < shape.kv_heads; kv_head += key.kv_heads) {
      const std::int64_t head = kv_head * (shape.heads / shape.kv_heads);
      for (const Operand& operand : operands) {
        memory[operand.name] = moved(operand.data, (operand.of_keys ? kv_head : head) * shape.head_dim * kElement);
      }
      memory[fused_attention::kStats] = moved(log_sum_exp, head * static_cast<std::int64_t>(sizeof(float)));
      const std::string reason = fused_attention::launch_graph(fused.handle, cached, memory, workspace);
      if (!reason.empty()) {  // it names the status: ..._ALLOCATION_FAILED, ALLOC_FAILED before cuDNN 9
        const bool full = reason.find("ALLOC") != std::string::npos;
        throw DeviceError(full ? DeviceProblem::out_of_memory : DeviceProblem::failed,
                          std::string(full ? "out of memory on the GPU in " : "") +
                              (key.backward ? "attention_backward" : "attention") + " over segments of up to " +
                              std::to_string(key.longest) + " tokens: " + reason);
      }
    }
  }
}

template <class T>
void find_segments(ConstTensorView starts, std::int64_t tokens, const AttentionShape& shape, const Outputs<T>& outputs,
                   const Offsets& offsets, std::int64_t batch, const Stream& stream) {
  constexpr unsigned kThreads = 64;
  launch("attention_offsets", attention_offsets<T>, dim3(1, 1, static_cast<unsigned>(batch)), dim3(kThreads), 0, stream,
         starts.as<std::int32_t>(), starts.count() - 1, tokens, attention_device::longest_segment(shape, tokens),
         static_cast<std::int64_t>(shape.heads) * shape.head_dim, static_cast<std::int64_t>(shape.kv_heads) * shape.head_dim,
         static_cast<std::int64_t>(shape.heads), outputs, offsets);
}

}  // namespace

bool cudnn_attention(const AttentionArguments& a, const Stream& stream) {
  const std::int64_t segments = a.cu_seqlens_q.count() - 1;
  const std::initializer_list<Operand> operands = {{fused_attention::kQ, a.q.data, false},
                                                   {fused_attention::kK, a.k.data, true},
                                                   {fused_attention::kV, a.v.data, true},
                                                   {fused_attention::kOut, a.out.data, false}};
  if (!takes(a.q, segments, a.shape) || a.cu_seqlens_q.data != a.cu_seqlens_k.data || a.q.rows() != a.k.rows() ||
      !aligned(operands) || fused_of(stream).handle == nullptr) {
    return false;
  }
  const GraphKey key = key_of(a.q, a.k, segments, a.shape);
  const CachedGraph& cached = graph_for(fused_of(stream), key);
  if (!worth_it(cached)) {
    return false;
  }
  const Offsets& offsets = fused_of(stream).offsets;
  with_float_type(a.q.dtype, [&]<class T>(T) {
    const Outputs<T> outputs = {floats<T>(a.out), nullptr, nullptr, a.log_sum_exp.as<float>()};
    find_segments(a.cu_seqlens_q, a.q.rows(), a.shape, outputs, offsets, key.batch, stream);
  });
  execute(cached, key, a.shape, segments, offsets, operands, a.log_sum_exp.data, stream);
  return true;
}

bool cudnn_attention_backward(const AttentionBackwardArguments& a, const Stream& stream) {
  const std::int64_t segments = a.starts.count() - 1;
  const std::initializer_list<Operand> operands = {
      {fused_attention::kDout, a.dout.data, false}, {fused_attention::kQ, a.q.data, false},
      {fused_attention::kK, a.k.data, true},        {fused_attention::kV, a.v.data, true},
      {fused_attention::kOut, a.out.data, false},   {fused_attention::kDq, a.dq.data, false},
      {fused_attention::kDk, a.dk.data, true},      {fused_attention::kDv, a.dv.data, true}};
  if (!takes(a.q, segments, a.shape) || !aligned(operands) || fused_of(stream).handle == nullptr) {
    return false;
  }
  GraphKey key = key_of(a.q, a.k, segments, a.shape);
  key.backward = true;
  const std::int64_t batch = key.batch;
  if (!fused_attention::divide_backward(key)) {
    return false;
  }
  const CachedGraph& cached = graph_for(fused_of(stream), key);
  if (!worth_it(cached)) {
    return false;
  }
  const Offsets& offsets = fused_of(stream).offsets;
  with_float_type(a.q.dtype, [&]<class T>(T) {
    const Outputs<T> outputs = {floats<T>(a.dq), floats<T>(a.dk), floats<T>(a.dv), nullptr};
    find_segments(a.starts, a.q.rows(), a.shape, outputs, offsets, batch, stream);
  });
  execute(cached, key, a.shape, segments, offsets, operands, a.log_sum_exp.data, stream);
  return true;
}

}  // namespace lora_dist
