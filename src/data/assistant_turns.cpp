// Finds turns by rendering variants of the conversation and comparing them.
#include "src/data/assistant_turns.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "src/data/chat_rows.h"
#include "src/data/find_turn.h"

namespace lora_dist {
namespace {

using json = nlohmann::ordered_json;

constexpr std::size_t kManyTurns = 3;  // beyond this, rendering each turn's start is slower than matching surroundings

/// True if an empty message in its place gives the same text.
bool prints_nothing_of(const ChatTemplate& chat_template, const Conversation& conversation, const std::string& text,
                       std::size_t message) {
  Conversation other = conversation;
  json& silent = other.messages[message];
  silent.erase("tool_calls");
  for (const char* key : kReasoningKeys) {
    silent.erase(key);
  }
  silent["content"] = "";
  return rendered(chat_template, other) == text;
}

/// The assistant's non-empty messages.
std::vector<std::size_t> answers_in(const Conversation& conversation) {
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < conversation.messages.size(); ++i) {
    const json& message = conversation.messages[i];
    if (message.value("role", "") == "assistant" && !says_nothing(message)) {
      out.push_back(i);
    }
  }
  return out;
}

/// The text between and around the contents of these messages: one piece more than messages. nullopt if a content is not rendered
/// contiguously.
std::optional<std::vector<std::string>> text_around(const ChatTemplate& chat_template, const Conversation& conversation,
                                                    const std::string& text, const std::vector<std::size_t>& messages) {
  const std::string word = unused_word(text);
  Conversation other = conversation;
  for (const std::size_t i : messages) {
    const auto content = conversation.messages[i].find("content");
    if (content == conversation.messages[i].end() || !content->is_string() || has_calls(conversation.messages[i])) {
      return std::nullopt;
    }
    other.messages[i]["content"] = word;
  }
  const std::optional<std::string> changed = rendered(chat_template, other);
  std::vector<std::string> out;
  std::size_t from = 0;
  for (std::size_t at = 0; changed && (at = changed->find(word, from)) != std::string::npos; from = at + word.size()) {
    out.push_back(changed->substr(from, at - from));
  }
  if (out.size() != messages.size()) {
    return std::nullopt;
  }
  out.push_back(changed->substr(from));
  return out;
}

/// The text around an answer.
struct Surroundings {
  std::string before;   // the generation prompt, and the text between it and the content
  std::size_t gap = 0;  // bytes of that text
  std::string after;    // from the content to the next message
};

/// The surroundings of the first turn, whose content begins at `content`.
std::optional<Surroundings> surroundings_of(const ChatTemplate& chat_template, const Conversation& conversation,
                                            const RenderedChat& chat, std::size_t message, std::size_t content) {
  const std::string& text = chat.text;
  const std::optional<AssistantTurn> turn = find_turn(chat_template, conversation, chat, message);
  const std::optional<std::string> without_prompt = rendered_start(chat_template, conversation, message, false);
  if (!turn || !turn->content || turn->begin > content || turn->content->end < content || !without_prompt ||
      !text.starts_with(*without_prompt) || without_prompt->size() > turn->begin) {
    return std::nullopt;
  }
  return Surroundings{text.substr(without_prompt->size(), content - without_prompt->size()), content - turn->begin,
                      text.substr(turn->content->end, turn->end - turn->content->end)};
}

/// The end of a content that begins at `begin` and is followed by `after`: verbatim or trimmed.
std::optional<std::size_t> end_of_content(std::string_view text, std::size_t begin, std::string_view content,
                                          std::string_view after) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t first = std::min(content.find_first_not_of(kSpace), content.size());
  const std::string_view trimmed = content.substr(first, content.find_last_not_of(kSpace) + 1 - first);
  for (const std::string_view candidate : {content, trimmed}) {
    if (text.substr(begin).starts_with(candidate) && text.substr(begin + candidate.size()).starts_with(after)) {
      return begin + candidate.size();
    }
  }
  return std::nullopt;
}

/// All turns by the surroundings of the first one; nullopt if one does not match.
std::optional<std::vector<AssistantTurn>> find_alike_turns(const ChatTemplate& chat_template, const Conversation& conversation,
                                                           const RenderedChat& chat, const std::vector<std::size_t>& messages) {
  const std::string& text = chat.text;
  const auto around = text_around(chat_template, conversation, text, messages);
  if (!around || !text.starts_with(around->front())) {
    return std::nullopt;
  }
  std::size_t begin = around->front().size();
  const auto like = surroundings_of(chat_template, conversation, chat, messages.front(), begin);
  if (!like) {
    return std::nullopt;
  }
  const std::string_view all = text;
  std::vector<AssistantTurn> out;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const std::string& content = conversation.messages[messages[i]]["content"].get_ref<const std::string&>();
    const std::optional<std::size_t> end = end_of_content(all, begin, content, (*around)[i + 1]);
    if (!end || !all.substr(0, begin).ends_with(like->before) || !all.substr(*end).starts_with(like->after)) {
      return std::nullopt;
    }
    out.push_back({messages[i], begin - like->gap, Range{begin, *end}, *end + like->after.size()});
    begin = *end + (*around)[i + 1].size();
  }
  return begin == text.size() ? std::optional(out) : std::nullopt;
}

}  // namespace

AssistantTurns find_assistant_turns(const ChatTemplate& chat_template, const Conversation& conversation,
                                    const RenderedChat& chat) {
  const std::vector<std::size_t> messages = answers_in(conversation);
  AssistantTurns out{{}, empty_answers({conversation.messages})};
  if (messages.size() >= kManyTurns) {
    if (auto alike = find_alike_turns(chat_template, conversation, chat, messages)) {
      out.turns = std::move(*alike);
      return out;
    }
  }
  for (const std::size_t i : messages) {
    const std::optional<AssistantTurn> turn = find_turn(chat_template, conversation, chat, i);
    const bool printed = turn && turn->content && turn->content->begin < turn->content->end;
    if (!printed && prints_nothing_of(chat_template, conversation, chat.text, i)) {
      ++out.empty;
    } else if (turn) {
      out.turns.push_back(*turn);
    } else {
      out.not_found = i + 1;
      return out;
    }
  }
  return out;
}

}  // namespace lora_dist
