// cuDNN's graphs for attention over packed segments. Only for a build with cuDNN. The frontend's headers, a minute to compile,
// are read by cudnn_graph.cpp alone.
#pragma once

#include <cudnn.h>

#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>

#include "kernels/common/dtype.h"

namespace lora_dist::fused_attention {

/// The names of a graph's tensors.
enum Name : std::int64_t { kQ = 1, kK, kV, kOut, kStats, kLengths, kQStarts, kKvStarts, kStatsStarts, kDout, kDq, kDk, kDv };

/// The shape that a graph is built for.
struct GraphKey {
  bool backward = false;
  DType dtype = DType::bf16;
  std::int64_t batch = 0;     // segments of one launch
  std::int64_t heads = 0;     // of one launch
  std::int64_t kv_heads = 0;  // of one launch
  std::int64_t q_stride = 0;  // between tokens, in elements
  std::int64_t kv_stride = 0;
  std::int64_t stats_stride = 0;
  std::int64_t dim = 0;
  std::int64_t longest = 0;
  float scale = 0.0F;

  auto operator<=>(const GraphKey&) const = default;
};

/// A graph with the kernel that cuDNN chose for it.
struct BuiltGraph;

struct CachedGraph {
  std::shared_ptr<BuiltGraph> graph;  // null: unsupported by cuDNN
  std::int64_t workspace_bytes = 0;
};

/// Loads cuDNN and makes a handle on the stream; null if cuDNN is missing or too old for packed segments.
cudnnHandle_t open_cudnn(cudaStream_t stream);
void close_cudnn(cudnnHandle_t handle);

/// The deterministic backward keeps a padded matrix of score gradients per segment and head: it goes in parts of this many bytes.
inline constexpr std::int64_t kPartBytes = std::int64_t{1} << 30;

/// Reduces a backward key to a part: fewer segments, then fewer kv heads. False if one kv head of one segment is still too large.
bool divide_backward(GraphKey& key);

/// Rounded up to a quarter of its power of two, at least to tiles of 128.
std::int64_t rounded_length(std::int64_t longest);

/// Builds the graph and chooses its kernel; takes up to a second.
CachedGraph make_graph(cudnnHandle_t handle, const GraphKey& key);

/// Launches it on the handle's stream. `memory`: by Name. Returns cuDNN's error message; empty on success.
std::string launch_graph(cudnnHandle_t handle, const CachedGraph& graph, std::unordered_map<std::int64_t, void*>& memory,
                         void* workspace);

}  // namespace lora_dist::fused_attention
