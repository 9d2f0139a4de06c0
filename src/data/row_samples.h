// Makes a row's sample, or explains why there is none.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>

#include "src/chat_template/chat_template.h"
#include "src/data/chat_sample.h"
#include "src/data/options.h"
#include "src/data/report.h"
#include "src/data/row.h"
#include "src/data/sample.h"
#include "src/tokenizer/tokenizer.h"

namespace lora_dist {

/// State that all rows of a dataset share.
struct SampleMaker {
  const DataOptions& options;
  const Tokenizer* tokenizer;  // null: all rows are ids
  std::int64_t vocab_size;
  std::optional<ChatTemplate> chat_template{};  // opened on demand
};

inline constexpr const char* kMarkedAsNotTrained = "nothing to learn: marked as not trained";  // reason of a dropped row

/// True if a row's answer is white space.
bool has_empty_completion(const RowContent& content);

/// The template for rows of a kind, chosen at the first such row and recorded in the report, with notes on it; none for ids and
/// texts. Throws Error(usage) as choose_template, Error(model) without a tokenizer, its EOS, or a required chat template.
std::optional<RowTemplate> template_of(SampleMaker& maker, RowKind kind, const std::filesystem::path& path, FileReport& report);

/// Adds a note to the report, once.
void add_note(FileReport& report, const std::string& text);

/// Notes members of a row that its template does not use.
void note_row(const SampleMaker& maker, const Row& row, std::optional<RowTemplate> row_template, FileReport& report);

/// The whole row, of any length. Throws Error(data) starting with `where`, and Error(model) as in chat_sample.h.
TokenizedRow whole_sample_of(const SampleMaker& maker, const Row& row, std::optional<RowTemplate> row_template,
                             const std::string& where);

/// The sample within data.max_length, or the reason why there is none. Throws Error(data) for a long sample if data.overlong =
/// "error".
std::pair<std::optional<TokenizedRow>, const char*> cut_sample(const SampleMaker& maker, const Row& row, TokenizedRow sample,
                                                               const std::string& where, FileReport& report);

}  // namespace lora_dist
