// Builds cuDNN's attention graphs. Tokens are packed: a segment's start is a "ragged offset" in elements, its length a padding
// mask.
// cuDNN is loaded at first use (by the frontend), so that the program starts on machines without cuDNN or a driver.
#define NV_CUDNN_FRONTEND_USE_DYNAMIC_LOADING
#define CUDNN_FRONTEND_SKIP_JSON_LIB
#include "kernels/attention/cudnn_graph.h"

#include <dlfcn.h>

#include <cstring>  // the frontend uses it without including it

#include <cudnn_frontend.h>

#include <algorithm>
#include <bit>
#include <utility>

namespace cudnn_frontend {

void* cudnn_dlhandle = nullptr;  // the frontend declares it and leaves it to the program; set once, by open_cudnn()

}  // namespace cudnn_frontend

namespace lora_dist::fused_attention {

struct BuiltGraph {
  cudnn_frontend::graph::Graph graph;
};

namespace {

namespace fe = cudnn_frontend;
using Tensor = std::shared_ptr<fe::graph::Tensor_attributes>;

struct GraphTensors {
  Tensor q_starts;
  Tensor kv_starts;
  Tensor stats_starts;
  Tensor lengths;
};

fe::graph::Tensor_attributes index_tensor(std::int64_t name, std::int64_t count, fe::DataType_t type) {
  return fe::graph::Tensor_attributes().set_uid(name).set_dim({count, 1, 1, 1}).set_stride({1, 1, 1, 1}).set_data_type(type);
}

GraphTensors add_indices(fe::graph::Graph& graph, const GraphKey& key) {
  return {graph.tensor(index_tensor(kQStarts, key.batch + 1, fe::DataType_t::INT64)),
          graph.tensor(index_tensor(kKvStarts, key.batch + 1, fe::DataType_t::INT64)),
          graph.tensor(index_tensor(kStatsStarts, key.batch + 1, fe::DataType_t::INT64)),
          graph.tensor(index_tensor(kLengths, key.batch, fe::DataType_t::INT32))};
}

// [batch, heads, longest, dim] over packed rows of `stride` elements.
void describe(fe::graph::Tensor_attributes& tensor, std::int64_t name, const GraphKey& key, std::int64_t heads, std::int64_t dim,
              std::int64_t stride, const Tensor& starts) {
  tensor.set_uid(name)
      .set_dim({key.batch, heads, key.longest, dim})
      .set_stride({key.longest * stride, dim, stride, 1})
      .set_ragged_offset(starts);
}
void describe_stats(fe::graph::Tensor_attributes& tensor, const GraphKey& key, const Tensor& starts) {
  describe(tensor, kStats, key, key.heads, 1, key.stats_stride, starts);
  tensor.set_data_type(fe::DataType_t::FLOAT);
}

Tensor add_input(fe::graph::Graph& graph, std::int64_t name, const GraphKey& key, const GraphTensors& tensors, bool of_keys) {
  fe::graph::Tensor_attributes tensor;
  describe(tensor, name, key, of_keys ? key.kv_heads : key.heads, key.dim, of_keys ? key.kv_stride : key.q_stride,
           of_keys ? tensors.kv_starts : tensors.q_starts);
  return graph.tensor(tensor);
}

template <class Attributes>
Attributes options_for(const GraphKey& key, const GraphTensors& tensors) {
  return Attributes()
      .set_attn_scale(key.scale)
      .set_padding_mask(true)
      .set_seq_len_q(tensors.lengths)
      .set_seq_len_kv(tensors.lengths)
      .set_diagonal_alignment(fe::DiagonalAlignment_t::TOP_LEFT)
      .set_diagonal_band_right_bound(0);  // causal
}

void add_forward(fe::graph::Graph& graph, const GraphKey& key) {
  const GraphTensors tensors = add_indices(graph, key);
  auto [out, stats] =
      graph.sdpa(add_input(graph, kQ, key, tensors, false), add_input(graph, kK, key, tensors, true),
                 add_input(graph, kV, key, tensors, true),
                 options_for<fe::graph::SDPA_attributes>(key, tensors).set_name("attention").set_generate_stats(true));
  out->set_output(true);
  describe(*out, kOut, key, key.heads, key.dim, key.q_stride, tensors.q_starts);
  stats->set_output(true);
  describe_stats(*stats, key, tensors.stats_starts);
}

void add_backward(fe::graph::Graph& graph, const GraphKey& key) {
  const GraphTensors tensors = add_indices(graph, key);
  fe::graph::Tensor_attributes stats;
  describe_stats(stats, key, tensors.stats_starts);
  auto [dq, dk, dv] = graph.sdpa_backward(add_input(graph, kQ, key, tensors, false), add_input(graph, kK, key, tensors, true),
                                          add_input(graph, kV, key, tensors, true), add_input(graph, kOut, key, tensors, false),
                                          add_input(graph, kDout, key, tensors, false), graph.tensor(stats),
                                          options_for<fe::graph::SDPA_backward_attributes>(key, tensors)
                                              .set_name("attention_backward")
                                              .set_deterministic_algorithm(true));
  dq->set_output(true);
  describe(*dq, kDq, key, key.heads, key.dim, key.q_stride, tensors.q_starts);
  dk->set_output(true);
  describe(*dk, kDk, key, key.kv_heads, key.dim, key.kv_stride, tensors.kv_starts);
  dv->set_output(true);
  describe(*dv, kDv, key, key.kv_heads, key.dim, key.kv_stride, tensors.kv_starts);
}

}  // namespace

cudnnHandle_t open_cudnn(cudaStream_t stream) {
  constexpr std::size_t kOldest = 90600;  // packed statistics, and grouped queries in packed segments
  static void* const library = dlopen("libcudnn.so.9", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    return nullptr;
  }
  cudnn_frontend::cudnn_dlhandle = library;
  cudnnHandle_t handle = nullptr;
  if (fe::detail::get_backend_version() < kOldest || fe::detail::create_handle(&handle) != CUDNN_STATUS_SUCCESS) {
    return nullptr;
  }
  if (fe::detail::set_stream(handle, stream) != CUDNN_STATUS_SUCCESS) {
    close_cudnn(handle);
    return nullptr;
  }
  return handle;
}

void close_cudnn(cudnnHandle_t handle) { fe::detail::destroy_handle(handle); }

bool divide_backward(GraphKey& key) {
  constexpr std::int64_t kScoreBytes = 2;
  while (key.batch * key.heads * key.longest * key.longest * kScoreBytes > kPartBytes) {
    const std::int64_t group = key.heads / key.kv_heads;
    if (key.batch > 1) {
      key.batch /= 2;
    } else if (key.kv_heads > 1) {
      key.kv_heads = key.kv_heads % 2 == 0 ? key.kv_heads / 2 : 1;
      key.heads = key.kv_heads * group;
    } else {
      return false;
    }
  }
  return true;
}

std::int64_t rounded_length(std::int64_t longest) {
  constexpr std::int64_t kTile = 128;
  const auto power = static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(longest)));
  const std::int64_t step = std::max(kTile, power / 4);
  return (longest + step - 1) / step * step;
}

CachedGraph make_graph(cudnnHandle_t handle, const GraphKey& key) {
  auto built = std::make_shared<BuiltGraph>();
  fe::graph::Graph& graph = built->graph;
  graph.set_io_data_type(key.dtype == DType::bf16 ? fe::DataType_t::BFLOAT16 : fe::DataType_t::HALF)
      .set_intermediate_data_type(fe::DataType_t::FLOAT)
      .set_compute_data_type(fe::DataType_t::FLOAT);
  if (key.backward) {
    add_backward(graph, key);
  } else {
    add_forward(graph, key);
  }
  CachedGraph made;
  if (graph.build(handle, {fe::HeurMode_t::A}).is_good() && graph.get_workspace_size(made.workspace_bytes).is_good()) {
    made.graph = std::move(built);
  }
  return made;
}

std::string launch_graph(cudnnHandle_t handle, const CachedGraph& graph, std::unordered_map<std::int64_t, void*>& memory,
                         void* workspace) {
  auto status = graph.graph->graph.execute(handle, memory, workspace);
  return status.is_good() ? "" : "cuDNN says " + status.get_message();
}

}  // namespace lora_dist::fused_attention
