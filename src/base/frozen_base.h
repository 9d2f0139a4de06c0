// The frozen base as one rank holds it: its slice of every block's (quantized) weights and of embedding and head, and the small
// rest whole.
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

/// Of RMSNorm or LayerNorm: [width] each.
struct NormWeights {
  std::span<float> weight;
  std::span<float> bias;  // empty: RMSNorm
};

/// Small tensors of one block, whole on every rank.
struct BlockRest {
  NormWeights attention_norm;                   // [hidden]: before or after attention
  NormWeights mlp_norm;                         // [hidden]
  NormWeights q_norm;                           // [head_dim], empty where heads are not normed
  NormWeights k_norm;                           // [head_dim]
  std::array<ConstTensorView, kLinears> bias;   // [out] in the compute dtype, null where the layer has none
  std::array<float, kLinears> nested_offset{};  // what double quantization subtracts from absmax: their mean
};

/// Where a base is put, piece by piece, as it is read.
struct BaseStorage {
  Arena& arena;                      // where the operators run
  Stream stream;                     // that it was made for
  DType compute_dtype = DType::f32;  // that the head and biases are rounded to
  Arena* pinned = nullptr;           // of the host: the blocks' slices stay there; null: they go to `arena`
  bool of_node = false;              // ranks of a machine that divide the base do so in memory that they share; on CPUs alone
  bool divides_vocabulary = true;    // embedding and head too; false: each rank has its TP shard's whole
  std::int64_t chunk_elements = 0;   // of their chunks, about; 0: as vocab_table.h has it
};

/// Who holds a base together.
struct BaseHolders {
  Communicator& shards;  // the ranks that divide every block of this TP rank's shard; over host memory
  Communicator& all;     // those of all TP ranks; over host memory
  TpShard part;          // of this rank
};

/// Memory of the arenas that it was loaded into.
struct FrozenBase {
  ModelSpec spec;                            // as this rank computes it: of its TP shard
  TpShard part;                              // of the model: what this TP rank computes with
  BaseFormat format;                         // of its weights but those that quantized files left as floats
  int shards = 1;                            // data ranks that divide the bytes of every block of the part
  std::vector<BlockLayout> layouts;          // per layer
  std::vector<std::span<std::byte>> slices;  // per layer: this data rank's slice of those bytes, slice_bytes long
  bool on_host = false;                      // `slices` are pinned host memory beside a GPU
  bool of_node = false;                      // ranks of a machine divide it: the slices of all of them lie end to end in `node`
  std::shared_ptr<NodeMemory> node = {};     // embedding and head lie behind the blocks; null where nothing was read
  std::vector<BlockRest> rest;               // per layer
  VocabTable embedding;                      // [vocab of the part, hidden], in the file's dtype (that of the head when tied)
  VocabTable head;                           // likewise, in the compute dtype (f32 on the CPU); the embedding itself when tied
  ConstTensorView positions;                 // f32 [max_positions, hidden]: learned positions, where there are any
  NormWeights final_norm;                    // [hidden]

  bool gathers() const { return shards > 1 && !of_node; }
  /// The first byte of a block that is not gathered.
  const std::byte* block_in_place(std::int64_t layer, int shard) const;
  std::int64_t largest_weight() const;  // elements of the largest weight of a block: the size of the dequantization scratch
  std::int64_t most_scales() const;     // of a weight whose scales are quantized too: the size of the scratch for them
  std::int64_t largest_window() const;  // bytes of the largest gathered block, padding included
};

/// Reads and quantizes the base; weights that the files have quantized already stay so, and decide the format. Collective over
/// `holders.all`; each rank reads only the codes that it keeps (and, of a quantization block that a cut goes through, the rest of
/// it). Beside a GPU the host holds this rank's slice of one block at a time. Weights are quantized as if whole: codes do not
/// depend on the number of slices, nor on the tensor cut; the offset of double quantization is summed in double, in the order of
/// the blocks. Throws Error, the same on every rank: model, out_of_memory.
FrozenBase load_frozen_base(const ModelSpec& spec, const TensorDirectory& directory, const BaseFormat& format,
                            const BaseHolders& holders, const BaseStorage& place);

/// The base that load_frozen_base would make, with nothing read: its layouts, and buffers of arenas that hold no memory. Of
/// `directory` only names, shapes and dtypes are asked. Throws Error(model).
FrozenBase lay_out_frozen_base(const ModelSpec& spec, const TensorDirectory& directory, const BaseFormat& format,
                               const TpShard& part, int shards, const BaseStorage& place);

}  // namespace lora_dist
