// Shifts the labels; no other code does.
#include "src/job/make_micro_batch.h"

#include <algorithm>

namespace lora_dist {

namespace {

/// The target of the last virtual token.
std::int32_t first_target(const Sample& sample, const VirtualTokens& virtual_tokens) {
  return virtual_tokens.count > 0 && virtual_tokens.predict() && !sample.labels.empty() ? sample.labels[0] : kNotTrained;
}

void append(MicroBatch& batch, const Sample& sample, const VirtualTokens& virtual_tokens) {
  const auto n = static_cast<std::int64_t>(sample.input_ids.size());
  const std::int64_t before = virtual_tokens.count;
  for (std::int64_t t = -before; t < n; ++t) {
    const auto next = static_cast<std::size_t>(t + 1);
    batch.ids.push_back(t < 0 ? kVirtualToken : sample.input_ids[static_cast<std::size_t>(t)]);
    batch.targets.push_back(t == -1               ? first_target(sample, virtual_tokens)
                            : t < 0 || t + 1 == n ? kNotTrained
                                                  : sample.labels[next]);
    batch.positions.push_back(static_cast<std::int32_t>(before + t));
    batch.sample_ids.push_back(static_cast<std::int32_t>(sample.id));
  }
  batch.cu_seqlens.push_back(static_cast<std::int32_t>(batch.ids.size()));
}

}  // namespace

MicroBatch make_micro_batch(std::span<const Sequence> sequences, std::span<const Sample> samples,
                            const VirtualTokens& virtual_tokens) {
  MicroBatch batch;
  batch.virtual_tokens = virtual_tokens.count;
  batch.cu_seqlens.push_back(0);
  for (const Sequence& sequence : sequences) {
    for (const std::int32_t index : sequence) {
      append(batch, samples[static_cast<std::size_t>(index)], virtual_tokens);
    }
  }
  return batch;
}

std::int64_t target_tokens(const Sample& sample, const VirtualTokens& virtual_tokens) {
  return trained_tokens(sample) + (first_target(sample, virtual_tokens) != kNotTrained ? 1 : 0);
}

std::int64_t count_micro_batches(std::span<const Sequence> sequences, std::int64_t size) {
  return (static_cast<std::int64_t>(sequences.size()) + size - 1) / size;
}

std::span<const Sequence> sequences_of(std::span<const Sequence> sequences, std::int64_t micro_batch, std::int64_t size) {
  const auto first = static_cast<std::size_t>(micro_batch * size);
  return first >= sequences.size() ? std::span<const Sequence>{}
                                   : sequences.subspan(first, std::min(static_cast<std::size_t>(size), sequences.size() - first));
}

std::vector<std::span<const Sequence>> sequences_of_round(const Deal& deal, std::span<const Sequence> sequences, int rank,
                                                          std::int64_t round) {
  std::vector<std::span<const Sequence>> mine;
  for (std::int64_t i = 0; i < deal.in_flight; ++i) {
    const auto dealt = sequences_of(sequences, round * deal.of_round() + i * deal.ranks + rank, deal.size);
    if (!dealt.empty()) {
      mine.push_back(dealt);
    }
  }
  return mine;
}

std::vector<MicroBatch> make_micro_batches(std::span<const std::span<const Sequence>> dealt, std::span<const Sample> samples,
                                           const VirtualTokens& virtual_tokens) {
  std::vector<MicroBatch> batches;
  for (const std::span<const Sequence>& sequences : dealt) {
    batches.push_back(make_micro_batch(sequences, samples, virtual_tokens));
  }
  if (batches.empty()) {
    batches.emplace_back();
  }
  return batches;
}

}  // namespace lora_dist
