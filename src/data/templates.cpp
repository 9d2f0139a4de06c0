// The built-in templates; chat_sample.h has the model's chat template.
#include "src/data/templates.h"

#include <algorithm>

#include "src/core/error.h"
#include "src/data/chat_rows.h"
#include "src/data/row_fields.h"

namespace lora_dist {
namespace {

bool has_chatml_tokens(const Tokenizer& tokenizer) {
  return token_id(tokenizer, "<|im_start|>").has_value() && token_id(tokenizer, "<|im_end|>").has_value();
}

// The two prompts of Stanford Alpaca (tatsu-lab/stanford_alpaca, train.py), with the line end after "Response:" that later tools
// added.
std::string alpaca_opening(bool with_input) {
  return with_input ? "Below is an instruction that describes a task, paired with an input that provides further context. "
                      "Write a response that appropriately completes the request."
                    : "Below is an instruction that describes a task. Write a response that appropriately completes the request.";
}

std::string alpaca_question(const std::string& instruction, const std::string& input) {
  return "\n\n### Instruction:\n" + instruction + (input.empty() ? "" : "\n\n### Input:\n" + input) + "\n\n### Response:\n";
}

/// As in LLaMA-Factory, a system prompt replaces the opening, and earlier exchanges precede the row's.
std::vector<Piece> alpaca_pieces(const AlpacaRow& row) {
  std::vector<Piece> out;
  std::string before = row.system.empty() ? alpaca_opening(row.history.empty() && !row.input.empty()) : row.system;
  for (const QaRow& exchange : row.history) {
    out.push_back({before + alpaca_question(exchange.question, ""), false, false});
    out.push_back({exchange.answer, !is_blank(exchange.answer), true});
    before.clear();
  }
  out.push_back({before + alpaca_question(row.instruction, row.input), false, false});
  out.push_back({row.output, true, true});
  return out;
}

// The space before an answer belongs to the answer, since vocabularies contain words with a leading space. No space is added to
// an answer that begins with white space.
std::string with_space(const std::string& answer) {
  return !answer.empty() && kBlank.find(answer[0]) != std::string_view::npos ? answer : " " + answer;
}

std::vector<Piece> qa_pieces(const QaRow& row) {
  return {{"Question: " + row.question + "\nAnswer:", false, false}, {with_space(row.answer), true, true}};
}

std::vector<Piece> raw_pieces(const QaRow& row) { return {{row.question, false, false}, {row.answer, true, true}}; }

bool is_answer(const ChatMessage& message) { return message.role == "assistant" && !is_blank(message.content); }

/// True if a message is trained: by default, a non-empty answer.
bool is_trained(const ChatMessage& message) {
  const bool by_role = message.role == "assistant" && message.training == MessageTraining::by_role;
  return !is_blank(message.content) && (by_role || message.training == MessageTraining::yes);
}

/// A piece with a message's content.
Piece content_piece(const ChatMessage& message, std::string text, bool end_of_text, bool train_all) {
  const bool answer = is_answer(message);
  const bool marked = message.training == MessageTraining::no;
  return {std::move(text), is_trained(message), end_of_text, marked && (answer || train_all), answer && !is_trained(message)};
}

std::vector<Piece> plain_pieces(const std::vector<ChatMessage>& messages, bool train_all) {
  std::vector<Piece> out;
  bool after_answer = false;
  for (const ChatMessage& message : messages) {
    const std::string gap = after_answer ? "\n" : "";
    after_answer = message.role == "assistant";
    if (after_answer) {
      out.push_back({gap + "Assistant:", false, false});
      out.push_back(content_piece(message, with_space(message.content), true, train_all));
    } else {
      out.push_back({gap + (message.role == "system" ? "System: " : "User: "), false, false});
      out.push_back(content_piece(message, message.content + "\n", false, train_all));
    }
  }
  return out;
}

std::vector<Piece> chatml_pieces(const std::vector<ChatMessage>& messages, bool train_all) {
  std::vector<Piece> out;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const bool last = i + 1 == messages.size();
    out.push_back({"<|im_start|>" + messages[i].role + "\n", false, false});
    out.push_back(content_piece(messages[i], messages[i].content + "<|im_end|>", is_answer(messages[i]) && last, train_all));
    if (!last) {
      out.push_back({"\n", false, false});
    }
  }
  return out;
}

/// Merges adjacent pieces with the same training flag, to avoid unnecessary token boundaries.
std::vector<Piece> joined(const std::vector<Piece>& pieces) {
  const auto alike = [](const Piece& a, const Piece& b) {
    return a.completion == b.completion && a.hidden == b.hidden && !a.apart && !b.apart && !a.end_of_text;
  };
  std::vector<Piece> out;
  for (const Piece& piece : pieces) {
    if (!out.empty() && alike(out.back(), piece)) {
      out.back().text += piece.text;
      out.back().end_of_text = piece.end_of_text;
    } else {
      out.push_back(piece);
    }
  }
  return out;
}

std::string question_of(const AlpacaRow& row) { return row.input.empty() ? row.instruction : row.instruction + "\n" + row.input; }

/// An exchange, optionally after a system prompt and earlier exchanges, or a chat without tool calls.
std::vector<ChatMessage> messages_of(const Row& row, const std::string& location) {
  if (const auto* chat = std::get_if<ChatRow>(&row.content)) {
    return plain_messages(*chat, location);
  }
  if (const auto* qa = std::get_if<QaRow>(&row.content)) {
    return {{"user", qa->question}, {"assistant", qa->answer}};
  }
  const auto& alpaca = std::get<AlpacaRow>(row.content);
  std::vector<ChatMessage> out;
  if (!alpaca.system.empty()) {
    out.push_back({"system", alpaca.system});
  }
  for (const QaRow& exchange : alpaca.history) {
    out.push_back({"user", exchange.question});
    out.push_back({"assistant", exchange.answer});
  }
  out.push_back({"user", question_of(alpaca)});
  out.push_back({"assistant", alpaca.output});
  return out;
}

}  // namespace

std::optional<RowTemplate> choose_template(std::optional<RowTemplate> asked, RowKind kind, const Tokenizer& tokenizer) {
  if (kind != RowKind::alpaca && kind != RowKind::chat && kind != RowKind::qa) {
    return std::nullopt;
  }
  if (kind == RowKind::alpaca && asked == RowTemplate::raw) {
    throw Error(ExitCode::usage,
                "data.template = \"raw\" joins a prompt and its completion as they are, but the rows are instructions (alpaca); "
                "use auto, "
                "alpaca, qa, chatml, plain or tokenizer");
  }
  if (kind == RowKind::chat && (asked == RowTemplate::alpaca || asked == RowTemplate::qa || asked == RowTemplate::raw)) {
    throw Error(ExitCode::usage,
                "data.template = \"" + std::string(word_of(kRowTemplates, asked)) +
                    "\" has one question and one answer, but the rows are chats; use auto, chatml, plain or tokenizer");
  }
  if (asked) {
    return asked;
  }
  if (kind != RowKind::chat) {
    return kind == RowKind::alpaca ? RowTemplate::alpaca : RowTemplate::qa;
  }
  return tokenizer.has_chat_template    ? RowTemplate::tokenizer
         : has_chatml_tokens(tokenizer) ? RowTemplate::chatml
                                        : RowTemplate::plain;
}

ChatRow conversation_row(const Row& row) {
  if (const auto* chat = std::get_if<ChatRow>(&row.content)) {
    return *chat;
  }
  ChatRow out{nlohmann::ordered_json::array()};
  for (const ChatMessage& message : messages_of(row, "")) {
    out.messages.push_back({{"role", message.role}, {"content", message.content}});
  }
  return out;
}

std::vector<Piece> render_row(const Row& row, RowTemplate row_template, const std::string& location, bool train_all) {
  if (row_template == RowTemplate::chatml) {
    return joined(chatml_pieces(messages_of(row, location), train_all));
  }
  if (row_template == RowTemplate::plain) {
    return joined(plain_pieces(messages_of(row, location), train_all));
  }
  const auto* alpaca = std::get_if<AlpacaRow>(&row.content);
  const auto* qa = std::get_if<QaRow>(&row.content);
  if (row_template == RowTemplate::alpaca) {
    return alpaca_pieces(alpaca != nullptr ? *alpaca : AlpacaRow{qa->question, "", qa->answer});
  }
  if (row.kind != RowKind::qa && alpaca != nullptr && (!alpaca->system.empty() || !alpaca->history.empty())) {
    fail_row(location,
             "\"system\" and \"history\" have no place in data.template = \"qa\"; use auto, alpaca, plain or tokenizer");
  }
  const QaRow exchange = qa != nullptr ? *qa : QaRow{question_of(*alpaca), alpaca->output};
  return row_template == RowTemplate::raw ? raw_pieces(exchange) : qa_pieces(exchange);
}

}  // namespace lora_dist
