// Converts rows to ids and labels by their templates.
#include "src/data/row_samples.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "src/chat_template/template_date.h"
#include "src/core/error.h"
#include "src/data/chat_rows.h"
#include "src/data/dataset.h"
#include "src/data/row_fields.h"
#include "src/data/templates.h"
#include "src/data/tokenize.h"
#include "src/data/turn_frame.h"

namespace lora_dist {
namespace {

const Tokenizer& tokenizer_for_text(const SampleMaker& maker, const std::filesystem::path& file) {
  if (maker.tokenizer == nullptr) {
    throw Error(ExitCode::model,
                file.string() +
                    " holds text, but the model folder has no tokenizer; copy its tokenizer.json (or tokenizer.model) "
                    "into the folder, or give all data as input_ids");
  }
  return *maker.tokenizer;
}

/// Opens what the template needs. Texts and chat templates have ends of their own.
void prepare_template(SampleMaker& maker, RowKind kind, std::optional<RowTemplate> row_template) {
  if (row_template == RowTemplate::tokenizer) {
    if (!maker.chat_template) {
      maker.chat_template = require_chat_template(*maker.tokenizer);
      maker.chat_template->now = noon_of(day_of_templates(maker.options));
      maker.chat_template->show_text = maker.options.show_text;
    }
  } else if (kind != RowKind::text && !maker.tokenizer->eos) {
    throw Error(ExitCode::model, maker.tokenizer->file.string() +
                                     " has no end-of-text token, without which the model would not learn to stop; "
                                     "name eos_token in tokenizer_config.json");
  }
}

constexpr const char* kEmptyAnswers = "nothing to learn: every answer is empty, or not printed by the chat template";

/// The sample of a row other than ids.
TokenizedRow sample_of_words(const SampleMaker& maker, const Row& row, std::optional<RowTemplate> row_template,
                             const std::string& where) {
  const bool train_all = maker.options.train_on == TrainOn::all;
  if (const auto* text = std::get_if<TextRow>(&row.content)) {
    return sample_of_text(*maker.tokenizer, text->text);
  }
  if (const auto* marked = std::get_if<MarkedRow>(&row.content)) {
    return sample_of_marked_text(*maker.tokenizer, row.kind, marked->text, train_all);
  }
  if (row_template == RowTemplate::tokenizer) {
    return sample_of_chat(*maker.chat_template, conversation_row(row), *maker.tokenizer, train_all, where);
  }
  TokenizedRow sample = tokenize_pieces(*maker.tokenizer, render_row(row, *row_template, where, train_all), train_all);
  if (const auto* chat = std::get_if<ChatRow>(&row.content); chat != nullptr && !train_all) {
    sample.empty_answers = empty_answers(*chat);
  }
  return sample;
}

/// The reason why a row has no trained tokens.
const char* why_nothing(const Row& row, const TokenizedRow& sample) {
  const auto* chat = std::get_if<ChatRow>(&row.content);
  const bool marked =
      chat != nullptr && std::find(chat->training.begin(), chat->training.end(), MessageTraining::no) != chat->training.end();
  return sample.empty_answers > 0 ? kEmptyAnswers : marked ? kMarkedAsNotTrained : "no trained token";
}

/// True if a row has tool calls that its template ignores.
bool template_ignores_tool_calls(const ChatTemplate& chat_template, const Row& row) {
  const auto* chat = std::get_if<ChatRow>(&row.content);
  return chat != nullptr && std::any_of(chat->messages.begin(), chat->messages.end(), has_calls) &&
         template_for(chat_template, chat->tools).source.find("tool_calls") == std::string::npos;
}

/// Members of a row that its template does not use.
std::vector<const char*> without_place(const Row& row, std::optional<RowTemplate> row_template) {
  std::vector<const char*> out;
  const auto* alpaca = std::get_if<AlpacaRow>(&row.content);
  if (row.kind == RowKind::qa && alpaca != nullptr && (row_template == RowTemplate::qa || row_template == RowTemplate::raw)) {
    if (!alpaca->history.empty()) {
      out.push_back("history");
    }
    if (!alpaca->system.empty()) {
      out.push_back("system");
    }
  }
  const auto* chat = std::get_if<ChatRow>(&row.content);
  if (chat != nullptr && row_template != RowTemplate::tokenizer) {
    if (!chat->tools.is_null() && !chat->tools.empty()) {
      out.push_back("tools");
    }
    for (const char* key : kReasoningKeys) {
      if (std::any_of(chat->messages.begin(), chat->messages.end(), [&](const auto& message) { return message.contains(key); })) {
        out.push_back(key);
      }
    }
  }
  return out;
}

/// The notes on the template of this kind of rows.
void note_template(const SampleMaker& maker, RowTemplate row_template, std::vector<std::string>& notes) {
  if (!maker.options.row_template && (row_template == RowTemplate::alpaca || row_template == RowTemplate::qa) &&
      maker.tokenizer->has_chat_template) {
    notes.push_back("the template is \"" + std::string(word_of(kRowTemplates, std::optional(row_template))) +
                    "\"; the model's own chat template is used with data.template = \"tokenizer\"");
  }
  if (row_template == RowTemplate::chatml && !token_id(*maker.tokenizer, "<|im_end|>")) {
    notes.emplace_back("the tokenizer has no token <|im_end|>; chatml's marks are spelt out");
  }
}

/// The template's text around questions and answers; empty if the template rejects the example.
std::string frame_of(const SampleMaker& maker, RowKind kind, std::optional<RowTemplate> row_template) {
  Row row;
  row.kind = kind;
  row.content = *example_row(kind);
  try {
    return turn_frame(sample_of_words(maker, row, row_template, "an example"), *maker.tokenizer);
  } catch (const Error&) {
    return {};  // the template's error is reported with the rows
  }
}

}  // namespace

bool has_empty_completion(const RowContent& content) {
  const auto* alpaca = std::get_if<AlpacaRow>(&content);
  const auto* qa = std::get_if<QaRow>(&content);
  const auto* text = std::get_if<TextRow>(&content);
  const auto* marked = std::get_if<MarkedRow>(&content);
  return (alpaca != nullptr && is_blank(alpaca->output)) || (qa != nullptr && is_blank(qa->answer)) ||
         (text != nullptr && is_blank(text->text)) || (marked != nullptr && is_blank(marked->text));
}

std::optional<RowTemplate> template_of(SampleMaker& maker, RowKind kind, const std::filesystem::path& path, FileReport& report) {
  if (kind == RowKind::ids) {
    return std::nullopt;
  }
  const Tokenizer& tokenizer = tokenizer_for_text(maker, path);
  const std::optional<RowTemplate> chosen = choose_template(maker.options.row_template, kind, tokenizer);
  const std::string kind_name(name_of(kind));
  if (report.templates.contains(kind_name) || report.turns.contains(kind_name)) {
    return chosen;
  }
  prepare_template(maker, kind, chosen);
  if (chosen) {
    report.templates[kind_name] = word_of(kRowTemplates, chosen);
    note_template(maker, *chosen, report.notes);
  }
  report.turns[kind_name] = frame_of(maker, kind, chosen);
  return chosen;
}

void add_note(FileReport& report, const std::string& text) {
  if (std::find(report.notes.begin(), report.notes.end(), text) == report.notes.end()) {
    report.notes.push_back(text);
  }
}

void note_row(const SampleMaker& maker, const Row& row, std::optional<RowTemplate> row_template, FileReport& report) {
  const auto note = [&](const std::string& text) { add_note(report, text); };
  if (row_template == RowTemplate::tokenizer && template_ignores_tool_calls(*maker.chat_template, row)) {
    note("there are calls of tools, which the model's chat template does not know");
  }
  const auto* qa = std::get_if<QaRow>(&row.content);
  if (qa != nullptr && qa->to_join && row_template == RowTemplate::qa && !maker.options.row_template) {
    note("prompt and completion become a question and its answer; data.template = \"raw\" joins them as they are");
  }
  for (const char* name : without_place(row, row_template)) {
    note("the template \"" + std::string(word_of(kRowTemplates, row_template)) + "\" has no place for \"" + name +
         "\"; data.template = \"tokenizer\" has");
  }
}

TokenizedRow whole_sample_of(const SampleMaker& maker, const Row& row, std::optional<RowTemplate> row_template,
                             const std::string& where) {
  if (const auto* ids = std::get_if<IdsRow>(&row.content)) {
    return sample_of_ids(*ids, maker.vocab_size, where);
  }
  TokenizedRow sample = sample_of_words(maker, row, row_template, where);
  check_ids(sample.input_ids, maker.vocab_size, where);
  return sample;
}

std::pair<std::optional<TokenizedRow>, const char*> cut_sample(const SampleMaker& maker, const Row& row, TokenizedRow sample,
                                                               const std::string& where, FileReport& report) {
  const DataOptions& options = maker.options;
  if (trained_tokens(sample.labels) == 0) {
    return {std::nullopt, why_nothing(row, sample)};
  }
  const auto limit = static_cast<std::size_t>(options.max_length);
  if (sample.input_ids.size() > limit) {
    if (options.overlong == Overlong::error) {
      throw Error(ExitCode::data, where + ": " + std::to_string(sample.input_ids.size()) +
                                      " tokens, more than data.max_length = " + std::to_string(limit) +
                                      "; raise it, or set data.overlong to truncate or drop");
    }
    if (options.overlong == Overlong::drop) {
      return {std::nullopt, "longer than data.max_length"};
    }
    sample.input_ids.resize(limit);
    sample.labels.resize(limit);
    ++report.truncated;
    if (trained_tokens(sample.labels) == 0) {
      return {std::nullopt, "no trained token within data.max_length"};
    }
  }
  return {std::move(sample), nullptr};
}

}  // namespace lora_dist
