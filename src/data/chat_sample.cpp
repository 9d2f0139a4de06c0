// Renders, encodes and labels conversations.
#include "src/data/chat_sample.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "src/core/error.h"
#include "src/data/assistant_turns.h"
#include "src/data/chat_rows.h"
#include "src/data/flagged_chat.h"
#include "src/data/quoted_arguments.h"
#include "src/data/tokenize.h"
#include "src/tokenizer/token_borders.h"

namespace lora_dist {
namespace {

using json = nlohmann::ordered_json;

/// The special tokens of a text within [begin, end), in order.
std::vector<Range> special_tokens_in(const TokenBorders& borders, const Tokenizer& tokenizer, std::size_t begin,
                                     std::size_t end) {
  std::vector<Range> out;
  for (std::size_t i = 0; i < borders.ids.size(); ++i) {
    const Range& token = borders.ranges[i];
    if (token.begin >= begin && token.end <= end && token.begin < token.end && is_special_id(tokenizer, borders.ids[i])) {
      out.push_back(token);
    }
  }
  return out;
}

/// The turn up to its end token: the first special token after the content, with directly following ones if the loop iteration's
/// output includes them; the last special token if the content's end is unknown; the one after the output if the output has none.
Range with_end_token(const AssistantTurn& turn, const TokenBorders& borders, const Tokenizer& tokenizer) {
  const std::size_t least = turn.content ? turn.content->end : turn.begin;
  const std::size_t own_end = turn.iteration_end > 0 ? turn.iteration_end : turn.end;
  std::vector<Range> tokens = special_tokens_in(borders, tokenizer, least, own_end);
  const bool behind = tokens.empty();
  if (behind) {
    tokens = special_tokens_in(borders, tokenizer, own_end, turn.end);
  }
  if (tokens.empty()) {
    return {turn.begin, turn.end};
  }
  std::size_t last = turn.content || behind ? 0 : tokens.size() - 1;
  while (turn.iteration_end > 0 && !behind && last + 1 < tokens.size() && tokens[last + 1].begin == tokens[last].end) {
    ++last;
  }
  return {turn.begin, tokens[last].end};
}

/// Numbers of the assistant's messages.
std::vector<std::size_t> assistant_messages(const Conversation& conversation) {
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < conversation.messages.size(); ++i) {
    if (conversation.messages[i].value("role", "") == "assistant") {
      out.push_back(i);
    }
  }
  return out;
}

/// The answers in the text, and their message numbers.
struct Answers {
  std::vector<AnswerSpan> spans;
  std::vector<std::size_t> messages;  // one per answer; another count (blocks may skip messages) is ambiguous
};

/// The outputs of {% generation %} blocks, including empty ones.
Answers answers_of_blocks(TokenizedRow& sample, const Conversation& conversation, const RenderedChat& chat) {
  Answers out{{}, assistant_messages(conversation)};
  auto answers = static_cast<std::int64_t>(out.messages.size());
  for (const jinja::OutputSpan& span : chat.generated) {
    out.spans.push_back({{span.begin, span.end}, std::nullopt});
    answers -= span.begin < span.end ? 1 : 0;
  }
  sample.empty_answers = std::max<std::int64_t>(answers, 0);
  return out;
}

Answers answers_of_turns(TokenizedRow& sample, const RenderedRow& rendered, const RenderedChat& chat) {
  const AssistantTurns found = find_assistant_turns(rendered.chat_template, rendered.conversation, chat);
  if (found.not_found != 0) {
    throw Error(ExitCode::data, rendered.where + ", message " + std::to_string(found.not_found) +
                                    ": the answer cannot be found in what the chat template " +
                                    template_for(rendered.chat_template, rendered.conversation.tools).file.string() +
                                    " makes of the conversation; use data.train_on = \"all\" or another data.template");
  }
  sample.empty_answers = found.empty;
  Answers out;
  for (const AssistantTurn& turn : found.turns) {
    out.spans.push_back({with_end_token(turn, rendered.borders, rendered.tokenizer), turn.content});
    out.messages.push_back(turn.message);
  }
  return out;
}

void hide_within(TokenizedRow& sample, const TokenBorders& borders, Range span) {
  for (std::size_t i = 0; i < borders.ids.size(); ++i) {
    if (borders.ranges[i].begin < span.end && borders.ranges[i].end > span.begin) {
      sample.labels[i] = kNotTrained;
    }
  }
}

/// Labels the answers, or the flagged parts, as trained. An empty span has no token.
void train_answers(TokenizedRow& sample, const RenderedRow& rendered, const RenderedChat& chat, bool train_all) {
  const Answers answers =
      chat.generated.empty() ? answers_of_turns(sample, rendered, chat) : answers_of_blocks(sample, rendered.conversation, chat);
  FlaggedSpans spans;
  if (has_train_flags(rendered.row)) {
    spans = flagged_spans(rendered, answers.spans, answers.messages, train_all);
  } else {
    for (const AnswerSpan& answer : answers.spans) {
      spans.trained.push_back(answer.span);
    }
  }
  for (const Range& span : spans.trained) {
    if (span.begin < span.end) {
      train_within(sample, 0, rendered.borders, span);
    }
  }
  for (const Range& span : spans.hidden) {
    hide_within(sample, rendered.borders, span);
  }
}

/// `what`: "location: the chat template refuses the conversation".
[[noreturn]] void fail_refused(const ChatTemplate& used, const RenderError& error, bool show_text, const std::string& what) {
  if (!show_text) {
    const std::string kept_back = what + " (its words, which may quote the row, are kept back: output.show_text = false)";
    throw RefusedConversation(kept_back, kept_back);
  }
  const std::string with_words = what + ": " + error.what();
  const bool constant = used.source.find(error.words()) != std::string::npos;
  throw RefusedConversation(with_words, constant ? with_words : what);
}

}  // namespace

ChatTemplate require_chat_template(const Tokenizer& tokenizer) {
  const std::filesystem::path folder = tokenizer.file.parent_path();
  std::optional<ChatTemplate> found = open_chat_template(folder);
  if (!found) {
    throw Error(ExitCode::model,
                folder.string() +
                    " has no chat template: neither chat_template.jinja, nor additional_chat_templates, nor "
                    "chat_template in tokenizer_config.json; put the model's there, or name another data.template");
  }
  return std::move(*found);
}

Conversation conversation_of(const ChatRow& row, const Tokenizer& tokenizer) {
  Conversation out{row.messages, row.tools};
  const auto add = [&](const char* name, const std::optional<std::int32_t>& id) {
    if (id) {
      out.special_tokens.emplace_back(name, token_text(tokenizer, *id));
    }
  };
  add("bos_token", tokenizer.bos);
  add("eos_token", tokenizer.eos);
  add("unk_token", tokenizer.unk);
  add("pad_token", tokenizer.pad);
  return out;
}

RenderedChat render_row_chat(const ChatTemplate& chat_template, const Conversation& conversation, const std::string& where) {
  try {
    return render_chat(chat_template, conversation);
  } catch (const RenderError& e) {
    if (e.refused()) {
      fail_refused(template_for(chat_template, conversation.tools), e, chat_template.show_text,
                   where + ": the chat template refuses the conversation");
    }
    const auto& messages = conversation.messages;
    const bool in_parts = std::ranges::any_of(messages, [](const json& one) { return one.value("content", json()).is_array(); });
    const bool lacks_text = std::ranges::any_of(messages, [](const json& one) { return one.value("content", json()).is_null(); });
    const char* const hint = in_parts     ? ", whose content is in parts; templates that know text alone want one text)"
                             : lacks_text ? ", of which a message has no content; this template wants a text in each)"
                                          : ")";
    throw Error(in_parts || lacks_text ? ExitCode::data : ExitCode::model,
                std::string(e.what()) + " (while it rendered " + where + hint);
  }
}

TokenizedRow sample_of_chat(const ChatTemplate& chat_template, const ChatRow& row, const Tokenizer& tokenizer, bool train_all,
                            const std::string& where) {
  const Conversation conversation = conversation_of(row, tokenizer);
  const RenderedChat chat = render_row_chat(chat_template, conversation, where);
  TokenBorders borders = encode_with_borders(tokenizer, chat.text);
  TokenizedRow sample;
  sample.quoted_arguments = prints_quoted_arguments(conversation, chat.text);
  if (train_all && !has_train_flags(row)) {
    sample.labels = borders.ids;
  } else {
    sample.labels.assign(borders.ids.size(), kNotTrained);
    train_answers(sample, {chat_template, row, conversation, chat.text, borders, tokenizer, where}, chat, train_all);
  }
  if (train_all && !sample.labels.empty() && borders.ids[0] == tokenizer.bos) {
    sample.labels[0] = kNotTrained;
  }
  sample.input_ids = std::move(borders.ids);
  return sample;
}

ChatPrompt chat_prompt(const ChatTemplate& chat_template, const ChatRow& row, const Tokenizer& tokenizer,
                       const std::string& where) {
  Conversation conversation = conversation_of(row, tokenizer);
  conversation.add_generation_prompt = true;
  ChatPrompt out;
  out.text = render_row_chat(chat_template, conversation, where).text;
  out.ids = encode(tokenizer, out.text, false);
  if (out.ids.empty()) {
    throw Error(ExitCode::data, where + ": the chat template makes an empty text of the conversation");
  }
  return out;
}

std::optional<std::int32_t> end_of_turn(const ChatTemplate& chat_template, const Tokenizer& tokenizer) {
  const json messages = json::array({{{"role", "user"}, {"content", "a"}}, {{"role", "assistant"}, {"content", "b"}}});
  TokenizedRow sample;
  try {
    sample = sample_of_chat(chat_template, {messages}, tokenizer, false, "a conversation");
  } catch (const Error&) {
    return std::nullopt;  // the template does not support this conversation; EOS is known anyway
  }
  std::size_t last = sample.labels.size();
  while (last > 0 && sample.labels[last - 1] == kNotTrained) {
    --last;
  }
  for (std::size_t i = last == 0 ? sample.labels.size() : last - 1; i < sample.input_ids.size(); ++i) {
    if (is_special_id(tokenizer, sample.input_ids[i])) {
      return sample.input_ids[i];
    }
  }
  return std::nullopt;
}

}  // namespace lora_dist
