// The frozen base as one rank holds it: its part of every block's (quantized) weights, and the small or shared rest whole.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "kernels/common/stream.h"
#include "kernels/common/tensor_view.h"
#include "src/comm/communicator.h"
#include "src/core/arena.h"
#include "src/model/model_config.h"
#include "src/model/tensor_table.h"

namespace lora_dist {

enum class Quantization : std::uint8_t { none, nf4 };

struct BaseFormat {
  Quantization quantization = Quantization::nf4;
  bool double_quant = true;
  std::int64_t block_size = 64;
};

/// The offset of double quantization: the mean of a weight's block scales. A fixed order and a wide type: the same on every mesh.
float mean_absmax(std::span<const float> absmax);

/// Where the parts of one weight lie in the bytes of its block. Offsets are multiples of 64; absent parts have 0 bytes.
struct WeightLayout {
  DType dtype = DType::f32;  // of the file; what `codes` holds when not quantized
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t codes_offset = 0;  // nf4: two codes a byte; none: the file's own elements
  std::int64_t codes_bytes = 0;
  std::int64_t absmax_offset = 0;  // f32 a block, or u8 a block with double quantization
  std::int64_t absmax_bytes = 0;
  std::int64_t nested_offset = 0;  // f32 for each 256 absmax values
  std::int64_t nested_bytes = 0;
};

/// One block's seven weights laid end to end, cut into `parts` equal parts (the last one padded).
struct BlockLayout {
  std::array<WeightLayout, kLinears> weights;
  std::int64_t bytes = 0;       // of the whole, before padding
  std::int64_t part_bytes = 0;  // of each part, a multiple of 64
};

BlockLayout make_block_layout(const std::array<DType, kLinears>& dtypes, const std::array<LinearShape, kLinears>& shapes,
                              const BaseFormat& format, int parts);

/// Small tensors of one block, whole on every rank.
struct BlockRest {
  std::span<float> input_norm;                  // [hidden]
  std::span<float> post_attention_norm;         // [hidden]
  std::array<ConstTensorView, kLinears> bias;   // [out] in the compute dtype, null where the layer has none
  std::array<float, kLinears> nested_offset{};  // what double quantization subtracts from absmax: their mean
};

/// Where a base is put, piece by piece, as it is read.
struct BasePlace {
  Arena& arena;                      // where the operators run
  Stream stream;                     // that it was made for
  DType compute_dtype = DType::f32;  // that the head and biases are rounded to
  Arena* pinned = nullptr;           // of the host: the blocks' parts stay there; null: they go to `arena`
};

/// Memory of the arenas that it was loaded into.
struct FrozenBase {
  ModelSpec spec;
  BaseFormat format;
  int shards = 1;                           // ranks that divide every block
  std::vector<BlockLayout> layouts;         // per layer
  std::vector<std::span<std::byte>> parts;  // per layer: this rank's part, part_bytes long
  bool on_host = false;                     // `parts` are pinned host memory beside a GPU
  std::vector<BlockRest> rest;              // per layer
  ConstTensorView embedding;                // [vocab, hidden], in the file's dtype (that of the head when tied)
  ConstTensorView head;                     // compute dtype (f32 on the CPU) [vocab, hidden]; the embedding itself when tied
  std::span<float> final_norm;              // [hidden]

  std::int64_t largest_weight() const;  // elements of the largest weight of a block: the size of the dequantization scratch
  std::int64_t largest_window() const;  // bytes of the largest gathered block, padding included
};

/// Reads and quantizes the base. Collective over `shards`, whose ranks divide every block and which works on host memory; each
/// rank reads only the bytes that it keeps (and, of a quantization block that a cut goes through, the rest of it). Beside a GPU
/// the host holds this rank's part of one block at a time. Weights are quantized as if whole: codes do not depend on the number
/// of parts; the offset of double quantization is summed in double, in the order of the blocks. Throws Error, the same on every
/// rank: model, out_of_memory.
FrozenBase load_frozen_base(const ModelSpec& spec, const TensorDirectory& directory, const BaseFormat& format,
                            Communicator& shards, const BasePlace& place);

}  // namespace lora_dist
