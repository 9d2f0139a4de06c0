// The frozen base on one rank: its slice of every block's (quantized) weights and of embedding and head, and replicated small
// tensors. Full fine-tuning trains the same slices (trained_base.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/common/stream.h"
#include "kernels/common/tensor_view.h"
#include "src/base/block_layout.h"
#include "src/base/tp_shard.h"
#include "src/base/vocab_table.h"
#include "src/comm/communicator.h"
#include "src/comm/node_memory.h"
#include "src/core/arena.h"
#include "src/model/model_config.h"

namespace lora_dist {

/// Weights of RMSNorm or LayerNorm: [width] each.
struct NormWeights {
  std::span<float> weight;
  std::span<float> bias;  // empty: RMSNorm
};

/// Small tensors of one block, replicated on every rank.
struct BlockRest {
  NormWeights attention_norm;                   // [hidden]: before attention; empty: none, as of the next three
  NormWeights mlp_norm;                         // [hidden]: before the MLP
  NormWeights attention_out_norm;               // [hidden]: after attention
  NormWeights mlp_out_norm;                     // [hidden]: after the MLP
  NormWeights q_norm;                           // [head_dim], or [query width] of the TP shard; empty: none
  NormWeights k_norm;                           // [head_dim], or [key width]
  std::array<ConstTensorView, kLinears> bias;   // [out] in the compute dtype; null: none
  std::array<float, kLinears> nested_offset{};  // the mean of absmax, which double quantization subtracts
};

/// Destination and options of loading a base.
struct BaseStorage {
  Arena& arena;                      // the operators' memory
  Stream stream;                     // the stream of the arena
  DType compute_dtype = DType::f32;  // of head and biases
  Arena* pinned = nullptr;           // host memory for the blocks' slices; null: they go to `arena`
  bool of_node = false;              // ranks of a machine keep their slices in shared memory; CPUs only
  bool divides_vocabulary = true;    // also divide embedding and head; false: each rank holds all of its TP shard
  std::int64_t chunk_elements = 0;   // approximate chunk size; 0: vocab_table.h's default
  bool trained = false;              // weights and tables are f32, whatever the files have (trained_base.h)
};

/// The groups that hold a base together.
struct BaseHolders {
  Communicator& shards;  // ranks that divide every block of this TP rank's shard; over host memory
  Communicator& all;     // those ranks for all TP ranks; over host memory
  Communicator& world;   // all replicas of the base, which fail together; over host memory
  TpShard tp;            // of this rank
};

/// A view: the memory belongs to the arenas that it was loaded into.
struct FrozenBase {
  ModelSpec spec;                            // of this rank's TP shard
  TpShard tp;                                // this rank's TP shard of the model
  BaseFormat format;                         // of the weights, except those that a prequantized folder has as floats
  int shards = 1;                            // data ranks that divide the bytes of every block
  std::vector<BlockLayout> layouts;          // per layer
  std::vector<std::span<std::byte>> slices;  // per layer: this data rank's slice, slice_bytes long
  bool on_host = false;                      // `slices` are pinned host memory, computation is on a GPU
  bool of_node = false;                      // the slices of all ranks of a machine are contiguous in `node`
  std::shared_ptr<NodeMemory> node = {};     // embedding and head follow the blocks; null if nothing was read
  std::vector<BlockRest> rest;               // per layer
  VocabTable embedding;                      // [vocab of the TP shard, hidden], in the file's dtype (the head's dtype if tied)
  VocabTable head;                           // likewise, in the compute dtype (f32 on the CPU); the embedding if tied
  ConstTensorView positions;                 // f32 [max_positions, hidden]: learned positions; null: none
  NormWeights final_norm;                    // [hidden]
  bool trained = false;                      // its weights change (trained_base.h)

  bool gathers() const { return shards > 1 && !of_node; }
  /// True if the head computes chunk by chunk of the vocabulary: these are gathered, or their gradients are reduced.
  bool head_by_chunks() const { return head.gathers() || trained; }
  /// The first byte of a block; for bases that are not divided.
  const std::byte* block_in_place(std::int64_t layer, int shard) const;
  std::int64_t largest_weight() const;  // elements of the largest weight: the size of the dequantization scratch
  std::int64_t most_scales() const;     // the most scales of a weight with double quantization: the size of their scratch
  std::int64_t largest_window() const;  // bytes of the largest gathered block, padding included
};

/// Reads and quantizes the base; prequantized weights are kept, and determine the format. Collective over `holders.world`; each
/// rank reads only the codes that it keeps (and all of a quantization block that a cut divides). Beside a GPU the host holds this
/// rank's slice of one block at a time. Weights are quantized as if whole: codes depend neither on the number of slices nor on
/// the TP cut; the offset of double quantization is summed in double, in block order. Throws Error, the same on every rank:
/// model, out_of_memory.
FrozenBase load_frozen_base(const ModelSpec& spec, const TensorDirectory& directory, const BaseFormat& format,
                            const BaseHolders& holders, const BaseStorage& storage);

/// The base that load_frozen_base would make, without reading weights: its layouts, and buffers of arenas without memory. Uses
/// only names, shapes and dtypes of `directory`. Throws Error(model).
FrozenBase lay_out_frozen_base(const ModelSpec& spec, const TensorDirectory& directory, const BaseFormat& format,
                               const TpShard& tp, int shards, const BaseStorage& storage);

}  // namespace lora_dist
