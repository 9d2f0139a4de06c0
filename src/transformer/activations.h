// What a pass keeps between operators: one buffer per intermediate result, sized for the longest pass.
// These structs point at memory of an arena and do not own it: a const one still gives views that may be written, as const
// pointers to it would, and the functions that take one by const reference do write through it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "src/adapter/adapters.h"
#include "src/core/arena.h"
#include "src/transformer/lora_linear.h"
#include "src/transformer/norm.h"
#include "src/transformer/row_buffer.h"

namespace lora_dist {

/// A norm's kept values, one of each a row.
struct NormBuffers {
  RowBuffer mean;  // f32; LayerNorm's alone
  RowBuffer rstd;  // f32
  NormKept rows(std::int64_t rows) const { return {mean.column(rows), rstd.column(rows)}; }
};

/// A block's intermediate results that backward reads. What a model does not have is 0 wide. "own": of the rows that a tensor
/// rank keeps (tensor_rows.h), which are all of them without sequence parallelism.
struct BlockActivations {
  RowBuffer normed_in;  // [tokens, hidden], the linears' input; recompute = selective shares it, normed_middle and activated
                        // between all blocks
  NormBuffers attention_norm;
  RowBuffer qkv;  // [tokens, query + 2 * key width]: room for a fused product and for its gradient; all blocks share it
  RowBuffer q;    // [tokens, heads * head_dim], normed by head and rotated
  RowBuffer k;    // [tokens, kv_heads * head_dim], normed by head and rotated
  RowBuffer v;
  RowBuffer plain_q;  // before the norm of heads
  RowBuffer plain_k;
  RowBuffer q_rstd;         // f32 [tokens, heads]
  RowBuffer k_rstd;         // f32 [tokens, kv_heads]
  RowBuffer attended;       // [tokens, heads * head_dim]
  RowBuffer log_sum_exp;    // [tokens, heads]
  RowBuffer attention_out;  // [own, hidden]: of the output projection, where a norm comes after it
  RowBuffer middle;         // [own, hidden]: after the attention's residual
  RowBuffer normed_middle;  // the MLP's linears' input; always there, also as room for a norm whose result nobody reads
  NormBuffers mlp_norm;
  RowBuffer gate;  // [tokens, intermediate]
  RowBuffer up;
  RowBuffer activated;
  RowBuffer mlp_out;                  // [own, hidden]: of the down projection, where a norm comes after it
  std::array<RowBuffer, kLinears> z;  // [tokens, r] of each adapted linear
};

/// Gradients on their way down a block; one set serves all blocks.
struct BlockGradients {
  RowBuffer hidden;     // [own, hidden]: of the block's output, then of its input
  RowBuffer normed;     // [tokens, hidden]
  RowBuffer activated;  // [tokens, intermediate]; becomes that of gate, or of up where there is no gate
  RowBuffer up;
  RowBuffer attended;  // [tokens, heads * head_dim]; once it has served, those of q and k before the norm of heads
  RowBuffer q;
  RowBuffer k;
  RowBuffer v;
};

/// Keys and values of one sequence for every block.
struct KvCache {
  std::vector<RowBuffer> k;  // per layer [capacity, kv_heads * head_dim]
  std::vector<RowBuffer> v;
  std::int64_t length = 0;
  std::int64_t capacity = 0;
};

/// How much of a training pass is kept: everything; what products and attention made (norms and activations are computed again
/// in backward, at no product's cost); or only what enters each block (all the rest is computed again).
enum class Recompute : std::uint8_t { none, selective, block };

struct WorkspaceOptions {
  std::int64_t max_tokens = 0;     // of a pass
  std::int64_t max_positions = 0;  // of a sample: rows of the rotation table
  bool training = true;
  Recompute recompute = Recompute::block;
  bool dropout = false;
  DType compute_dtype = DType::f32;  // of activations and dequantized weights; f32 on the CPU
  std::int64_t longest = 0;          // tokens of the longest sequence; 0: a pass may be one
  std::int64_t piece_tokens = 1024;  // TensorRows::piece: enough rows to keep a GPU's product busy
  bool sequence_parallel = false;    // tensor ranks keep hidden states of their own tokens
};

/// Where the tokens of a pass lie for the operators; all i32, sized for the longest pass.
struct PassBuffers {
  std::span<std::int32_t> ids;
  std::span<std::int32_t> positions;
  std::span<std::int32_t> samples;
  std::span<std::int32_t> starts;      // [segments + 1]
  std::span<std::int32_t> key_starts;  // [2]: of a sequence with a cache
  std::span<std::int32_t> index;       // of picked tokens
  std::span<std::int32_t> targets;     // of picked tokens
  std::span<std::int32_t> argmax;      // of picked tokens
};

/// All buffers of the transformer.
struct Workspace {
  std::vector<RowBuffer> hidden;  // [own, hidden] that enter block l: hidden[l % size]; training keeps layers + 1, inference 2
  RowBuffer all_rows;             // [tokens, hidden]: of TensorRows; 0 wide without sequence parallelism
  std::vector<BlockActivations> blocks;  // of block l: blocks[l % size]; one, or one per layer
  Recompute recompute = Recompute::block;
  BlockGradients gradients;
  LinearScratch scratch;
  RowBuffer picked;         // [tokens, hidden]: rows that have a target
  RowBuffer picked_normed;  // and after the final norm; then their gradient
  RowBuffer head_gradient;  // f32 [tokens, or logits_rows, hidden]: the same as it is summed, where the vocabulary has chunks
  NormBuffers picked_norm;
  RowBuffer token_loss;  // [tokens]
  std::span<float> logits;
  std::int64_t logits_rows = 0;      // tokens whose logits exist at a time: of all chunks, or of one that is gathered
  void* logits_gradient = nullptr;   // as many elements in the compute dtype: the logits themselves in f32
  std::span<float> softmax_numbers;  // [chunks * tokens, 3], where there are chunks or ranks that share the vocabulary
  // Where ranks share the vocabulary:
  std::span<float> all_softmax_numbers;  // [ranks * chunks * tokens, 3]
  std::span<float> next_logits;          // [widest part]: of one token
  std::span<float> all_next_logits;      // [ranks * widest part]
  PassBuffers pass;
  TensorView factors;  // the adapters' factors in the compute dtype, made again for each pass; null when that is f32
  std::span<float> rope_table;
  std::int64_t rope_positions = 0;
  DType compute_dtype = DType::f32;
  std::int64_t max_tokens = 0;
  std::int64_t piece_tokens = 0;

  const RowBuffer& entering(std::int64_t layer) const { return hidden[static_cast<std::size_t>(layer) % hidden.size()]; }
  const BlockActivations& block(std::int64_t layer) const { return blocks[static_cast<std::size_t>(layer) % blocks.size()]; }
};

/// In the arena's memory; `stream` is the one that operators will run on. From an arena that holds none, nothing is called.
Workspace make_workspace(const FrozenBase& base, const AdapterLayout& layout, const WorkspaceOptions& options, Arena& arena,
                         const Stream& stream);
KvCache make_kv_cache(const ModelSpec& spec, std::int64_t capacity, Arena& arena, DType dtype = DType::f32);

}  // namespace lora_dist
