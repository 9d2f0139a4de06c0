// Data setup for training, evaluation and the report on data.
#include "src/job/data_setup.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>

#include "src/core/error.h"
#include "src/io/file.h"

namespace lora_dist {

namespace {

/// The embedding may lack rows for tokens that a folder adds but no data uses ([PAD]).
std::string tokens_beyond(const Tokenizer& tokenizer, std::int64_t rows) {
  constexpr int kNamed = 3;
  std::string names;
  int count = 0;
  for (auto id = static_cast<std::int32_t>(rows); id < tokenizer.vocab_size; ++id) {
    if (!has_token(tokenizer, id)) {
      continue;
    }
    if (count++ < kNamed) {
      names += fmt::format("{}{} ({})", names.empty() ? "" : ", ", token_text(tokenizer, id).substr(0, 100), id);
    }
  }
  return fmt::format("the embedding has only {} rows, none for {} token{} of the tokenizer: {}{}; a text that has one is refused",
                     rows, count, count == 1 ? "" : "s", names, count > kNamed ? ", ..." : "");
}

}  // namespace

DataOptions data_options(const Config& config) {
  DataOptions options;
  options.train.assign(config.data.train.begin(), config.data.train.end());
  options.validation.assign(config.data.validation.begin(), config.data.validation.end());
  options.validation_split = config.data.validation_split;
  options.format = config.data.format;
  options.row_template = config.data.row_template;
  options.train_on = config.data.train_on;
  options.max_length = config.data.max_length;
  options.packing = config.data.packing;
  options.shuffle = config.data.shuffle;
  options.overlong = config.data.overlong;
  options.bad_rows = config.data.bad_rows;
  options.max_bad_rows = config.data.max_bad_rows;
  options.show_text = config.output.show_text;
  options.seed = static_cast<std::uint64_t>(config.train.seed);
  return options;
}

void write_bad_rows(const DatasetReport& report, const std::filesystem::path& output) {
  const std::filesystem::path file = output / "bad_rows.jsonl";
  std::string lines;
  for (const FileReport& data : report.files) {
    for (const BadRow& bad : data.bad_rows) {
      const nlohmann::ordered_json line = {{"file", data.path}, {"row", bad.row}, {"reason", bad.reason}};
      lines += line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";  // names may be invalid UTF-8
    }
  }
  std::error_code ignored;
  if (!lines.empty()) {
    make_output_directory(output, "output.dir");
    write_file_atomically(file, lines, ExitCode::usage);
  } else {
    std::filesystem::remove(file, ignored);  // an earlier run's
  }
}

void fit_max_length(Config& config, const ModelSpec& spec, std::int64_t virtual_tokens, const Console& console) {
  constexpr std::int64_t kLeastTokens = 2;  // as data.max_length
  const std::int64_t left = spec.max_positions - virtual_tokens;
  if (left < kLeastTokens) {
    throw Error(ExitCode::usage,
                fmt::format("{} virtual tokens leave no room for data: the model has only {} positions; train fewer of them",
                            virtual_tokens, spec.max_positions));
  }
  if (config.data.max_length > left) {
    console.warn(fmt::format("data.max_length is {}, but the model has only {} positions{}: lowered to {}",
                             config.data.max_length, spec.max_positions,
                             virtual_tokens > 0 ? fmt::format(", {} of them for virtual tokens", virtual_tokens) : "",
                             virtual_tokens > 0 ? std::to_string(left) : "them"));
    config.data.max_length = static_cast<int>(left);
  }
}

std::optional<Tokenizer> open_model_tokenizer(const std::filesystem::path& folder, const ModelSpec& spec,
                                              const std::filesystem::path& own) {
  if (own.empty() && !has_tokenizer(folder)) {
    return std::nullopt;
  }
  Tokenizer tokenizer = open_tokenizer(own.empty() ? folder : own, folder);
  if (tokenizer.model_size > spec.vocab) {
    throw Error(
        ExitCode::model,
        fmt::format(
            "{}: the tokenizer has ids up to {}, the embedding only {} rows; tokenizer and weights do not belong together",
            tokenizer.file.string(), tokenizer.model_size - 1, spec.vocab));
  }
  if (tokenizer.vocab_size > spec.vocab) {
    tokenizer.notes.push_back(tokens_beyond(tokenizer, spec.vocab));
  }
  return tokenizer;
}

void tell_tokenizer_notes(const std::optional<Tokenizer>& tokenizer, const Console& console) {
  for (const std::string& note : tokenizer ? tokenizer->notes : std::vector<std::string>{}) {
    console.note(note);
  }
}

}  // namespace lora_dist
