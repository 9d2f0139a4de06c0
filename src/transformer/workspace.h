// The buffers of forward and backward, each for the longest micro-batch.
// These structs point to an arena's memory and do not own it: like const pointers, const ones give views that may be written,
// and functions that take one by const reference write through it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "src/adapter/adapter_layout.h"
#include "src/core/arena.h"
#include "src/core/choices.h"
#include "src/transformer/norm.h"
#include "src/transformer/row_buffer.h"

namespace lora_dist {

/// A norm's saved statistics, one per row.
struct NormBuffers {
  RowBuffer mean;  // f32; only for LayerNorm
  RowBuffer rstd;  // f32
  NormStatistics rows(std::int64_t rows) const { return {mean.column(rows), rstd.column(rows)}; }
};

/// A bottleneck adapter's saved activations of this rank's shard.
struct BottleneckBuffers {
  RowBuffer input;  // [shard, hidden]: in training, unless another buffer has it
  RowBuffer z;      // [shard, width]: before the activation
};

/// Buffers of bottleneck adapters that all blocks share.
struct BottleneckScratch {
  RowBuffer activated;  // [shard, width]
  RowBuffer dz;         // [shard, width]
  RowBuffer branch;     // [shard, hidden]: gradient of the sublayer's output beside that of its residual (houlsby)
  RowBuffer bias;       // [hidden] of width 1
};

/// A block's intermediate results for backward. Buffers that a model does not need have width 0. "shard": rows of a
/// sequence-parallel shard (tensor_parallel.h); all rows without sequence parallelism.
struct SavedActivations {
  RowBuffer normed_in;  // [tokens, hidden], the linears' input; with recompute = selective all blocks share it, normed_middle
                        // and activated
  NormBuffers attention_norm;
  RowBuffer fused;  // [tokens, widest]: room for the product of several projections and for its gradient; all blocks share it
  RowBuffer q;      // [tokens, heads * head_dim], normed by head and rotated
  RowBuffer k;      // [tokens, kv_heads * head_dim], normed by head and rotated
  RowBuffer v;
  RowBuffer plain_q;  // before the norm of heads
  RowBuffer plain_k;
  RowBuffer q_rstd;         // f32 [tokens, heads], or [tokens] if all heads are normed together
  RowBuffer k_rstd;         // f32 [tokens, kv_heads], or [tokens]
  RowBuffer qk_sums;        // f32 [2, tokens]: what the ranks add for such norms, first of q; all blocks share it
  RowBuffer attended;       // [tokens, heads * head_dim]
  RowBuffer log_sum_exp;    // [tokens, heads]
  RowBuffer attention_out;  // [shard, hidden]: of the output projection, if a norm follows it
  NormBuffers attention_out_norm;
  RowBuffer middle;         // [shard, hidden]: after the attention's residual
  RowBuffer normed_middle;  // the MLP's linears' input
  NormBuffers mlp_norm;
  RowBuffer gate;  // [tokens, intermediate]
  RowBuffer up;
  RowBuffer activated;
  RowBuffer mlp_out;  // [shard, hidden]: of the down projection, if a norm follows it
  NormBuffers mlp_out_norm;
  BottleneckBuffers attention_bottleneck;
  BottleneckBuffers mlp_bottleneck;
  std::array<RowBuffer, kLinears> adapter;         // [tokens, saved_width] of each adapted linear
  std::array<RowBuffer, kLinears> adapter_output;  // [tokens, out], if the method saves its output for backward
};

/// Gradients within a block; one set serves all blocks and all micro-batches.
struct BlockGradients {
  RowBuffer normed;     // [tokens, hidden]
  RowBuffer activated;  // [tokens, intermediate]; becomes the gradient of gate, or of up without a gate
  RowBuffer up;
  RowBuffer attended;  // [tokens, heads * head_dim]; later the gradients of q and k before the norm of heads
  RowBuffer q;
  RowBuffer k;
  RowBuffer v;
};

/// Keys and values of one sequence, for every block.
struct KvCache {
  std::vector<RowBuffer> k;  // per layer [capacity, kv_heads * head_dim]
  std::vector<RowBuffer> v;
  std::int64_t length = 0;
  std::int64_t capacity = 0;
};

struct WorkspaceOptions {
  std::int64_t max_tokens = 0;     // per micro-batch
  std::int64_t max_positions = 0;  // per sample: rows of the rotation table
  bool training = true;
  Recompute recompute = Recompute::block;
  bool dropout = false;
  DType compute_dtype = DType::f32;  // of activations and dequantized weights; f32 on the CPU
  std::int64_t longest = 0;          // tokens of the longest sequence; 0: up to a micro-batch
  std::int64_t piece_tokens = 1024;  // TensorParallel::piece: enough rows to keep a GPU's product busy
  bool sequence_parallel = false;    // TP ranks keep hidden states of their own tokens
  int micro_batches_in_flight = 1;   // that go through a block per fetch
};

/// The head's buffers for one micro-batch: for its tokens with a target.
struct HeadBuffers {
  std::span<std::int32_t> index;    // their positions in the micro-batch
  std::span<std::int32_t> targets;  // their targets
  RowBuffer picked;                 // [tokens, hidden]: their hidden states
  RowBuffer normed;                 // after the final norm; then their gradients
  RowBuffer gradient;  // f32 [tokens, or logits_rows, hidden]: the sum of those gradients, if the vocabulary has chunks
  NormBuffers norm;
  RowBuffer token_loss;                  // f32 [tokens]
  std::span<float> softmax_numbers;      // [chunks * tokens, 3], if there are chunks or ranks that share the vocabulary
  std::span<float> all_softmax_numbers;  // [ranks * chunks * tokens, 3], if ranks share it
};

/// The buffers of one of the micro-batches in flight.
struct MicroBatchBuffers {
  // i32, in the operators' memory.
  std::span<std::int32_t> ids;
  std::span<std::int32_t> positions;
  std::span<std::int32_t> rope_rows;   // empty: the positions
  std::span<std::int32_t> token_rows;  // of trained tokens; empty: there are none in the embedding
  std::span<std::int32_t> sample_ids;
  std::span<std::int32_t> cu_seqlens;      // [segments + 1]
  std::span<std::int32_t> key_cu_seqlens;  // [2]: for a sequence with a cache

  std::vector<RowBuffer> hidden;  // [shard, hidden], input of block l: hidden[l % size]; training keeps layers + 1, inference 2
  RowBuffer hidden_gradient;      // [shard, hidden]: of the current block's output, then of its input
  std::vector<SavedActivations> saved;  // of block l: saved[l % size]; recompute = block has one, which micro-batches share
  HeadBuffers head;

  const RowBuffer& entering(std::int64_t layer) const { return hidden[static_cast<std::size_t>(layer) % hidden.size()]; }
  const SavedActivations& saved_of(std::int64_t layer) const { return saved[static_cast<std::size_t>(layer) % saved.size()]; }
};

/// The head's trained tokens: [n] ids, and buffers for the logits of logits_rows tokens.
struct TokenLogits {
  std::span<std::int32_t> ids;
  std::span<float> logits;  // [logits_rows, n]
  TensorView gradient;      // the same in the compute dtype
};

/// A rotation table (make_rope_table).
struct RopeTable {
  std::span<float> values;  // [rows, rotary_width]
  std::int64_t rows = 0;
};

/// All buffers of the transformer.
struct Workspace {
  std::vector<MicroBatchBuffers> in_flight;
  RowBuffer gathered;  // [tokens, hidden]: for TensorParallel; width 0 without sequence parallelism
  Recompute recompute = Recompute::block;
  BlockGradients gradients;
  LinearScratch scratch;
  std::span<float> logits;
  std::int64_t logits_rows = 0;     // tokens whose logits exist at a time: of all chunks, or of one gathered chunk
  void* logits_gradient = nullptr;  // the same number of elements in the compute dtype: the logits themselves in f32
  std::span<std::int32_t> argmax;   // [tokens]
  // If ranks share the vocabulary:
  std::span<float> next_logits;      // [widest part]: of one token
  std::span<float> all_next_logits;  // [ranks * widest part]
  TensorView params;   // the adapter's parameters in the compute dtype, cast once per forward pass; null if that is f32
  TensorView initial;  // the same of their initial values; null without residual linears
  TensorView frozen;   // its frozen tensors in the compute dtype, filled once by fill_frozen; null if there are none
  BottleneckScratch bottleneck;
  std::span<float> norms;  // the trained norms as they are applied, in the order of the flat buffer
  std::span<float> ones;   // [hidden]: what norm_adds_one adds to trained norms
  TokenLogits token_logits;
  RopeTable rope;
  RopeTable query_rope;   // of queries, if they grow with the position
  RopeTable window_rope;  // of layers with a window, if they have a rotation of their own
  std::int64_t rope_positions = 0;
  DType compute_dtype = DType::f32;
  std::int64_t max_tokens = 0;
  std::int64_t piece_tokens = 0;
};

/// In the arena's memory; `stream` is the operators' stream. With an arena without memory, calls no operator.
Workspace make_workspace(const FrozenBase& base, const AdapterLayout& layout, const WorkspaceOptions& options, Arena& arena,
                         const Stream& stream);
KvCache make_kv_cache(const ModelSpec& spec, std::int64_t capacity, Arena& arena, DType dtype = DType::f32);

}  // namespace lora_dist
