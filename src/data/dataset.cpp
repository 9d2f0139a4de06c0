// Files to samples: read, render, tokenise, check, split, report.
#include "src/data/dataset.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "src/core/error.h"
#include "src/data/chat_rows.h"
#include "src/data/chat_sample.h"
#include "src/data/formats.h"
#include "src/data/shown_sample.h"
#include "src/data/split.h"
#include "src/data/templates.h"
#include "src/data/tokenize.h"

namespace lora_dist {
namespace {

/// What the steps below share while files are read one after another.
struct Loader {
  const DataOptions& options;
  const Tokenizer* tokenizer;
  std::int64_t vocab_size;
  std::int64_t next_id = 0;
  std::int32_t next_file = 0;
  DatasetReport report{};
  std::optional<ChatTemplate> chat_template{};  // opened when a file's rows need it
};

void check_choice(const char* key, const std::string& value, std::initializer_list<std::string_view> choices) {
  if (std::find(choices.begin(), choices.end(), value) == choices.end()) {
    std::string names;
    for (const std::string_view choice : choices) {
      names += (names.empty() ? "" : ", ") + std::string(choice);
    }
    throw Error(ExitCode::usage, std::string("data.") + key + " = \"" + value.substr(0, 40) + "\" is none of " + names);
  }
}

void check_options(const DataOptions& options) {
  check_choice("train_on", options.train_on, {"completion", "all"});
  check_choice("overlong", options.overlong, {"truncate", "drop", "error"});
  if (options.max_length < 2) {
    throw Error(ExitCode::usage, "data.max_length must be at least 2 (got " + std::to_string(options.max_length) + ")");
  }
  if (!(options.validation_split >= 0.0 && options.validation_split < 1.0)) {
    throw Error(ExitCode::usage, "data.validation_split must be at least 0 and less than 1");
  }
  if (options.train.empty()) {
    throw Error(ExitCode::data, "data.train names no file");
  }
}

const Tokenizer& tokenizer_for_text(const Loader& loader, const std::filesystem::path& file) {
  if (loader.tokenizer == nullptr) {
    throw Error(ExitCode::model,
                file.string() +
                    " holds text, but the model folder has no tokenizer; copy its tokenizer.json (or tokenizer.model) "
                    "into the folder, or give all data as input_ids");
  }
  return *loader.tokenizer;
}

/// Opens what the template needs. A text, and a chat template, bring their own ends.
void prepare_template(Loader& loader, RowKind kind, const std::string& template_name) {
  if (template_name == "tokenizer") {
    if (!loader.chat_template) {
      loader.chat_template = require_chat_template(*loader.tokenizer);
    }
  } else if (kind != RowKind::text && !loader.tokenizer->eos) {
    throw Error(ExitCode::model, loader.tokenizer->file.string() +
                                     " has no end-of-text token, without which the model would not learn to stop; "
                                     "name eos_token in tokenizer_config.json");
  }
}

bool blank(std::string_view text) { return text.find_first_not_of(" \t\r\n") == std::string_view::npos; }

bool has_empty_completion(const RowContent& content) {
  const auto* alpaca = std::get_if<AlpacaRow>(&content);
  const auto* qa = std::get_if<QaRow>(&content);
  const auto* text = std::get_if<TextRow>(&content);
  const auto* marked = std::get_if<MarkedRow>(&content);
  return (alpaca != nullptr && blank(alpaca->output)) || (qa != nullptr && blank(qa->answer)) ||
         (text != nullptr && blank(text->text)) || (marked != nullptr && blank(marked->text));
}

/// Of a row that is not ids.
Sample sample_of_words(const Loader& loader, const Row& row, RowKind kind, const std::string& template_name,
                       const std::string& where) {
  const bool train_all = loader.options.train_on == "all";
  if (const auto* text = std::get_if<TextRow>(&row.content)) {
    return sample_of_text(*loader.tokenizer, text->text);
  }
  if (const auto* marked = std::get_if<MarkedRow>(&row.content)) {
    return sample_of_marked_text(*loader.tokenizer, kind, marked->text, train_all);
  }
  if (template_name == "tokenizer") {
    return sample_of_chat(*loader.chat_template, conversation_row(row), *loader.tokenizer, train_all, where);
  }
  return tokenize_pieces(*loader.tokenizer, render_row(row, template_name, where), train_all);
}

/// The sample of a row, or the reason why there is none.
std::pair<std::optional<Sample>, const char*> sample_of_row(const Loader& loader, const Row& row, RowKind kind,
                                                            const std::string& template_name, const std::string& where,
                                                            FileReport& report) {
  const DataOptions& options = loader.options;
  Sample sample;
  if (const auto* ids = std::get_if<IdsRow>(&row.content)) {
    sample = sample_of_ids(*ids, loader.vocab_size, where);
  } else {
    if (has_empty_completion(row.content)) {
      return {std::nullopt, "nothing to learn: the completion is empty"};
    }
    sample = sample_of_words(loader, row, kind, template_name, where);
    check_ids(sample, loader.vocab_size, where);
  }
  if (trained_tokens(sample) == 0) {
    return {std::nullopt, "no trained token"};
  }
  const auto limit = static_cast<std::size_t>(options.max_length);
  if (sample.input_ids.size() > limit) {
    if (options.overlong == "error") {
      throw Error(ExitCode::data, where + ": " + std::to_string(sample.input_ids.size()) +
                                      " tokens, more than data.max_length = " + std::to_string(limit) +
                                      "; raise it, or set data.overlong to truncate or drop");
    }
    if (options.overlong == "drop") {
      return {std::nullopt, "longer than data.max_length"};
    }
    sample.input_ids.resize(limit);
    sample.labels.resize(limit);
    ++report.truncated;
    if (trained_tokens(sample) == 0) {
      return {std::nullopt, "no trained token within data.max_length"};
    }
  }
  return {std::move(sample), nullptr};
}

bool calls_tools(const Row& row) {
  const auto* chat = std::get_if<ChatRow>(&row.content);
  return chat != nullptr && std::any_of(chat->messages.begin(), chat->messages.end(), has_calls);
}

void note_template(Loader& loader, const DatasetFile& file, const std::string& template_name) {
  if (template_name == "tokenizer" && loader.chat_template->source.find("tool_calls") == std::string::npos &&
      std::any_of(file.rows.begin(), file.rows.end(), calls_tools)) {
    loader.report.notes.push_back(file.path.string() +
                                  ": there are calls of tools, which the model's chat template does not know");
  }
  if (loader.options.template_name == "auto" && (template_name == "alpaca" || template_name == "qa") &&
      loader.tokenizer->has_chat_template) {
    loader.report.notes.push_back(file.path.string() + ": the template is \"" + template_name +
                                  "\"; the model's own chat template is used with data.template = \"tokenizer\"");
  }
  if (template_name == "chatml" && !token_id(*loader.tokenizer, "<|im_end|>")) {
    loader.report.notes.push_back(file.path.string() + ": the tokenizer has no token <|im_end|>; chatml's marks are spelt out");
  }
}

void load_file(Loader& loader, const std::filesystem::path& path, bool validation, std::vector<Sample>& out) {
  const DatasetFile file = read_dataset_file(path, loader.options.format);
  FileReport report{path.string(), name_of(file.container), std::string(name_of(file.kind)), "none", validation, 0, 0, {}};
  if (file.kind != RowKind::ids) {
    report.template_name = choose_template(loader.options.template_name, file.kind, tokenizer_for_text(loader, path));
    prepare_template(loader, file.kind, report.template_name);
    note_template(loader, file, report.template_name);
  }
  for (const Row& row : file.rows) {
    const std::string where = place_in(path, file.container, row.number);
    auto [sample, reason] = sample_of_row(loader, row, file.kind, report.template_name, where, report);
    ++report.rows;
    if (sample) {
      sample->id = loader.next_id;
      sample->file = loader.next_file;
      sample->row = row.number;
      out.push_back(std::move(*sample));
    } else {
      ++report.dropped[reason];
    }
    if (++loader.next_id > INT32_MAX) {
      throw Error(ExitCode::data, where + ": more than 2,147,483,647 rows");
    }
  }
  ++loader.next_file;
  loader.report.files.push_back(std::move(report));
}

/// A set of which nothing is left would train, or score, nothing.
void check_not_empty(const Loader& loader, const std::vector<Sample>& samples, bool validation) {
  if (!samples.empty()) {
    return;
  }
  std::string why;
  for (const FileReport& file : loader.report.files) {
    for (const auto& [reason, count] : file.dropped) {
      if (file.validation == validation) {
        why += (why.empty() ? "" : "; ") + file.path + ": " + std::to_string(count) + " x " + reason;
      }
    }
  }
  throw Error(ExitCode::data,
              std::string("no ") + (validation ? "validation" : "training") + " sample has a token to train on (" + why +
                  "). Check the labels, data.template, data.max_length and data.train_on; the label at a sample's "
                  "first position never trains, because nothing comes before it");
}

SetReport report_of(const std::vector<Sample>& samples) {
  SetReport out;
  std::vector<std::int64_t> lengths;
  for (const Sample& sample : samples) {
    lengths.push_back(static_cast<std::int64_t>(sample.input_ids.size()));
    out.tokens += lengths.back();
    out.trained_tokens += trained_tokens(sample);
  }
  out.samples = static_cast<std::int64_t>(samples.size());
  std::sort(lengths.begin(), lengths.end());
  constexpr std::array<std::int64_t, 4> kPercents = {50, 90, 99, 100};
  for (std::size_t i = 0; i < kPercents.size() && !lengths.empty(); ++i) {
    const std::int64_t rank = (kPercents[i] * out.samples + 99) / 100;  // nearest rank, from 1
    out.length_percentiles[i] = lengths[static_cast<std::size_t>(rank - 1)];
  }
  return out;
}

}  // namespace

Dataset load_dataset(const DataOptions& options, const Tokenizer* tokenizer, std::int64_t vocab_size) {
  check_options(options);
  Loader loader{options, tokenizer, vocab_size};
  Dataset out;
  for (const auto& path : options.train) {
    load_file(loader, path, false, out.train);
  }
  check_not_empty(loader, out.train, false);
  for (const auto& path : options.validation) {
    load_file(loader, path, true, out.validation);
  }
  if (!options.validation.empty()) {
    check_not_empty(loader, out.validation, true);
  } else if (options.validation_split > 0.0) {
    const std::size_t n = out.train.size();
    out.validation = take_validation(out.train, options.validation_split, options.seed);
    if (out.validation.empty()) {
      loader.report.notes.push_back("data.validation_split leaves none of " + std::to_string(n) +
                                    " samples to validate on; there will be no evaluation");
    }
  }
  out.report = std::move(loader.report);
  out.report.train = report_of(out.train);
  out.report.validation = report_of(out.validation);
  out.report.shown_sample = show_sample(out.train.front(), tokenizer);
  return out;
}

}  // namespace lora_dist
