// Dataset files written for one test, and the demo's tokenizer.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/core/error.h"
#include "src/data/dataset.h"
#include "src/tokenizer/tokenizer.h"
#include "tests/support/scratch.h"
#include "tests/support/source_dir.h"

namespace lora_dist {

inline const Tokenizer& demo_tokenizer() {
  static const Tokenizer tokenizer = open_tokenizer(demo_model());
  return tokenizer;
}

/// The message of the Error that `work` throws, after its exit code: "3: ..."; "no error" when it throws none.
template <class Work>
std::string error_from(Work work) {
  try {
    work();
  } catch (const Error& e) {
    return std::to_string(static_cast<int>(e.code())) + ": " + e.what();
  }
  return "no error";
}

/// Tokens to compare with a vector.
inline std::vector<std::int32_t> copy_of(std::span<const std::int32_t> tokens) { return {tokens.begin(), tokens.end()}; }

/// The values of data.template and data.format; none for "auto".
inline std::optional<RowTemplate> template_named(std::string_view word) { return value_of_word(kRowTemplates, word).value(); }
inline std::optional<RowKind> format_named(std::string_view word) { return value_of_word(kRowKinds, word).value(); }

/// Loads one file of the given name and content. Options other than the file are the caller's.
inline Dataset load(const std::string& name, const std::string& content, DataOptions options = {},
                    const Tokenizer* tokenizer = &demo_tokenizer(), std::int64_t vocab_size = 512) {
  const Scratch folder;
  folder.write(name, content);
  options.train = {folder / name};
  return load_dataset(options, tokenizer, vocab_size);
}

/// The first training sample, with tokens of its own.
inline TokenizedRow first_sample(const Dataset& dataset) {
  const Sample& sample = dataset.train.at(0);
  return {copy_of(sample.input_ids), copy_of(sample.labels)};
}

inline DataOptions without_split() {
  DataOptions options;
  options.validation_split = 0.0;
  return options;
}

}  // namespace lora_dist
