// One training sample: token ids and the labels that go with them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/common/not_trained.h"

namespace lora_dist {

/// What a row becomes.
struct TokenizedRow {
  std::vector<std::int32_t> input_ids;
  std::vector<std::int32_t> labels;  // as Sample::labels
  std::int64_t empty_answers = 0;    // that the row has and that train nothing
  bool quoted_arguments = false;     // of a call of tools: prints_quoted_arguments (quoted_arguments.h)
};

/// Its tokens lie in the dataset's TokenStore.
struct Sample {
  std::int64_t id = 0;  // running number of its row over all files in order, dropped rows counted; fits in 31 bits
  std::span<const std::int32_t> input_ids{};
  std::span<const std::int32_t> labels{};  // same length, not shifted; the label at position 0 never trains
  std::int32_t file = 0;                   // index over train files, then validation files
  std::int64_t row = 0;  // line of a JSONL or CSV file, number of the row (from 1) of a JSON array, paragraph of a text
};

/// Tokens that the labels train: those other than kNotTrained, the first position aside.
std::int64_t trained_tokens(std::span<const std::int32_t> labels);
inline std::int64_t trained_tokens(const Sample& sample) { return trained_tokens(sample.labels); }

}  // namespace lora_dist
