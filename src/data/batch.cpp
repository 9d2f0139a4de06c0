// The shift of labels happens here and nowhere else.
#include "src/data/batch.h"

namespace lora_dist {
namespace {

void append(Batch& batch, const Sample& sample) {
  const std::size_t n = sample.input_ids.size();
  for (std::size_t t = 0; t < n; ++t) {
    const std::int32_t target = t + 1 < n ? sample.labels[t + 1] : kNotTrained;
    batch.ids.push_back(sample.input_ids[t]);
    batch.targets.push_back(target);
    batch.positions.push_back(static_cast<std::int32_t>(t));
    batch.samples.push_back(static_cast<std::int32_t>(sample.id));
    batch.target_tokens += target != kNotTrained ? 1 : 0;
  }
  batch.starts.push_back(static_cast<std::int32_t>(batch.ids.size()));
}

}  // namespace

Batch make_batch(std::span<const Sequence> sequences, std::span<const Sample> samples) {
  Batch batch;
  batch.starts.push_back(0);
  for (const Sequence& sequence : sequences) {
    for (const std::int32_t index : sequence) {
      append(batch, samples[static_cast<std::size_t>(index)]);
    }
  }
  return batch;
}

}  // namespace lora_dist
