// Everything from dataset files to checked samples; the same on every rank.
#pragma once

#include <cstdint>
#include <vector>

#include "src/data/options.h"
#include "src/data/report.h"
#include "src/data/sample.h"
#include "src/tokenizer/tokenizer.h"

namespace lora_dist {

struct Dataset {
  std::vector<Sample> train, validation;  // in file order; no sample is in both
  DatasetReport report;
};

/// A function of its arguments and the files alone (the tokenizer's chat template, read from its folder when rows need it, is
/// one). tokenizer may be null when all rows are input_ids; vocab_size is the model's. Throws Error(data) naming file and row:
/// see formats.h; ids outside [0, vocab_size); labels of another length, or neither -100 nor an id; an overlong sample with
/// overlong = "error"; no sample left that trains anything. Throws Error(usage) for an option that is not one of its values,
/// Error(model) for a tokenizer without EOS or absent, and what chat_sample.h says of chat templates.
Dataset load_dataset(const DataOptions& options, const Tokenizer* tokenizer, std::int64_t vocab_size);

}  // namespace lora_dist
