// Reading tensors of GGUF files as the elements that a Hugging Face folder has, a part at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "src/io/gguf_blocks.h"

namespace lora_dist {

struct TensorInfo;

/// How the rows of a matrix (or the elements of a bias) lie in the file.
enum class GgufOrder : std::uint8_t {
  as_is,
  interleaved_halves,  // within each head, row i of both halves side by side: q and k of Llama, as their rotation is computed
                       // there
  q_then_k_then_v,     // all of q, then k, then v, where the folder has q, k and v head by head: GPT-NeoX
  transposed,          // [out, in], where the folder has [in, out]: GPT-2
};

/// The data that a TensorInfo of a GGUF file needs in addition.
struct GgufSource {
  const GgmlType* type = nullptr;
  GgufOrder order = GgufOrder::as_is;
  std::int64_t heads = 1;  // that the rows are divided by; of interleaved_halves and q_then_k_then_v
  float added = 0.0F;      // to each element; the type is f32 then
};

/// Fills `out` with the tensor's bytes from byte `from`, both whole elements of its dtype. Reads only the blocks that they lie in
/// (of a transposed matrix, all).
void read_gguf_bytes(const TensorInfo& tensor, std::uint64_t from, std::span<std::byte> out);

/// The row of the file that holds row `row` (of `rows`) of the folder's matrix or bias.
std::int64_t row_in_gguf(const GgufSource& source, std::int64_t row, std::int64_t rows);

/// The other direction of reading: the elements of a tensor of the folder ([rows, ...] in its shape) as the file has them.
std::vector<float> in_gguf_order(const GgufSource& source, const std::vector<std::int64_t>& shape, std::vector<float> values);

/// The same tensor as the file has it: [out, in]. For transposed ones.
TensorInfo as_in_gguf(const TensorInfo& transposed);

}  // namespace lora_dist
