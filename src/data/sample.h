// One training sample: token ids and the labels that go with them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/common/not_trained.h"

namespace lora_dist {

/// The tokens of a row.
struct TokenizedRow {
  std::vector<std::int32_t> input_ids;
  std::vector<std::int32_t> labels;  // like Sample::labels
  std::int64_t empty_answers = 0;    // of the row, not trained
  bool quoted_arguments = false;     // see prints_quoted_arguments (quoted_arguments.h)
};

/// A sample; the dataset's TokenStore owns its tokens.
struct Sample {
  std::int64_t id = 0;  // number of its row over all files in order, including dropped rows; fits in 31 bits
  std::span<const std::int32_t> input_ids{};
  std::span<const std::int32_t> labels{};  // same length, not shifted; the label at position 0 is not trained
  std::int32_t file = 0;                   // index in train files, then validation files
  std::int64_t row = 0;  // line of a JSONL or CSV file, number of the row (from 1) of a JSON array, paragraph of a text
};

/// The number of trained labels: those other than kNotTrained, without the first position.
std::int64_t trained_tokens(std::span<const std::int32_t> labels);
inline std::int64_t trained_tokens(const Sample& sample) { return trained_tokens(sample.labels); }

}  // namespace lora_dist
