// A micro-batch in the operators' memory.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/common/stream.h"
#include "kernels/common/tensor_view.h"
#include "src/transformer/micro_batch.h"

namespace lora_dist {

struct KvCache;
struct MicroBatchBuffers;
struct RopeConfig;

/// All views i32; null in a micro-batch without tokens.
struct DeviceMicroBatch {
  ConstTensorView ids;             // [tokens]
  ConstTensorView positions;       // [tokens]
  ConstTensorView rope_rows;       // [tokens]: of the rotation table
  ConstTensorView token_rows;      // [tokens]: of the embedding's trained rows, -1 for others; null if none are trained
  ConstTensorView sample_ids;      // [tokens]
  ConstTensorView cu_seqlens;      // [segments + 1]
  ConstTensorView key_cu_seqlens;  // [2], with a cache: 0 and its length after this micro-batch; else cu_seqlens
  std::int64_t tokens = 0;
  std::int64_t virtual_tokens = 0;  // the first of each segment
  int longest = 0;                  // tokens of the longest segment
};

/// The rows of the rotation table of the micro-batch's tokens: their positions, or for longrope in sequences of more than
/// original_positions the rows `positions` further.
std::vector<std::int32_t> rope_rows_of(const MicroBatch& batch, const RopeConfig& rope, std::int64_t positions);

/// Copies it to the buffers. `cache`: of the generated sequence; null: none. Throws KernelError if the buffers are too short.
DeviceMicroBatch to_device(const MicroBatch& batch, const KvCache* cache, const MicroBatchBuffers& buffers, const Stream& stream);

/// Copies host values to the front of `buffer`. Throws KernelError if it is too short.
ConstTensorView to_device(std::span<const std::int32_t> values, std::span<std::int32_t> buffer, const Stream& stream);

}  // namespace lora_dist
