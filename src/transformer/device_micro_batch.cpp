// Copies the integers of a micro-batch to the operators' memory.
#include "src/transformer/device_micro_batch.h"

#include <array>

#include "kernels/common/check.h"
#include "kernels/elementwise/copy.h"
#include "src/model/model_config.h"
#include "src/transformer/workspace.h"

namespace lora_dist {

ConstTensorView to_device(std::span<const std::int32_t> values, std::span<std::int32_t> buffer, const Stream& stream) {
  require(values.size() <= buffer.size(), "a micro-batch is longer than the workspace was made for");
  const TensorView there = view(buffer.first(values.size()));
  from_host(view(values), there, stream);
  return there;
}

std::vector<std::int32_t> rope_rows_of(const MicroBatch& batch, const RopeConfig& rope, std::int64_t positions) {
  std::vector<std::int32_t> rows = batch.positions;
  for (std::size_t s = 0; s + 1 < batch.cu_seqlens.size(); ++s) {
    const auto begin = static_cast<std::size_t>(batch.cu_seqlens[s]);
    const auto end = static_cast<std::size_t>(batch.cu_seqlens[s + 1]);
    const bool longer = end > begin && batch.positions[end - 1] >= rope.original_positions;
    for (std::size_t t = begin; longer && t < end; ++t) {
      rows[t] += static_cast<std::int32_t>(positions);
    }
  }
  return rows;
}

DeviceMicroBatch to_device(const MicroBatch& batch, const KvCache* cache, const MicroBatchBuffers& buffers,
                           const Stream& stream) {
  DeviceMicroBatch made;
  made.tokens = batch.tokens();
  if (made.tokens == 0) {
    return made;
  }
  made.virtual_tokens = batch.virtual_tokens;
  made.ids = to_device(batch.ids, buffers.ids, stream);
  made.rope_rows = made.positions = to_device(batch.positions, buffers.positions, stream);
  made.sample_ids = to_device(batch.sample_ids, buffers.sample_ids, stream);
  made.cu_seqlens = made.key_cu_seqlens = to_device(batch.cu_seqlens, buffers.cu_seqlens, stream);
  for (std::size_t s = 0; s + 1 < batch.cu_seqlens.size(); ++s) {
    made.longest = std::max(made.longest, batch.cu_seqlens[s + 1] - batch.cu_seqlens[s]);
  }
  if (cache != nullptr) {
    const std::array<std::int32_t, 2> keys = {0, static_cast<std::int32_t>(cache->length + made.tokens)};
    made.key_cu_seqlens = to_device(keys, buffers.key_cu_seqlens, stream);
  }
  return made;
}

}  // namespace lora_dist
