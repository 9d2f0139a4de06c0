// Rendering again, with less or with something else, and comparing.
#include "src/data/assistant_spans.h"

#include <algorithm>
#include <string_view>

namespace lora_dist {
namespace {

using json = nlohmann::ordered_json;

/// Nothing when the template does not take such a conversation; the whole one it took.
std::optional<std::string> rendered(const ChatTemplate& chat_template, const Conversation& conversation) {
  try {
    return render_chat(chat_template, conversation).text;
  } catch (const RenderError&) {
    return std::nullopt;
  }
}

/// The first `count` messages.
std::optional<std::string> rendered_start(const ChatTemplate& chat_template, const Conversation& conversation, std::size_t count,
                                          bool generation_prompt) {
  if (count == 0 && !generation_prompt) {
    return std::nullopt;
  }
  Conversation start = conversation;
  start.messages = json::array();
  for (std::size_t i = 0; i < count; ++i) {
    start.messages.push_back(conversation.messages[i]);
  }
  start.add_generation_prompt = generation_prompt;
  return rendered(chat_template, start);
}

/// A word of letters and digits that the text does not hold: what templates trim, split or compare leaves it alone.
std::string unused_word(const std::string& text) {
  std::string word = "Xq7answer0";
  for (int i = 1; text.find(word) != std::string::npos; ++i) {
    word = "Xq7answer" + std::to_string(i);
  }
  return word;
}

/// The content, where it could be told.
struct Content {
  std::optional<std::size_t> begin, end;
};

Content find_content(const ChatTemplate& chat_template, const Conversation& conversation, const std::string& text,
                     std::size_t message) {
  const auto content = conversation.messages[message].find("content");
  if (content == conversation.messages[message].end() || content->is_null()) {
    return {};
  }
  const std::string word = unused_word(text);
  Conversation other = conversation;
  other.messages[message]["content"] = content->is_array() ? json::array({{{"type", "text"}, {"text", word}}}) : json(word);
  const std::optional<std::string> changed = rendered(chat_template, other);
  const std::size_t at = changed ? changed->find(word) : std::string::npos;
  if (at == std::string::npos) {
    return {};
  }
  Content out;
  const std::string_view before = std::string_view(*changed).substr(0, at);
  const std::string_view after = std::string_view(*changed).substr(at + word.size());
  if (std::string_view(text).starts_with(before)) {
    out.begin = at;
  }
  if (std::string_view(text).ends_with(after) && text.size() - after.size() >= out.begin.value_or(0)) {
    out.end = text.size() - after.size();
  }
  return out;
}

std::size_t common_start(std::string_view a, std::string_view b) {
  const auto n = static_cast<std::ptrdiff_t>(std::min(a.size(), b.size()));
  return static_cast<std::size_t>(std::mismatch(a.begin(), a.begin() + n, b.begin()).first - a.begin());
}

std::optional<AssistantTurn> find_turn(const ChatTemplate& chat_template, const Conversation& conversation,
                                       const std::string& text, std::size_t message) {
  const std::optional<std::string> before = rendered_start(chat_template, conversation, message, true);
  const std::optional<std::string> until = rendered_start(chat_template, conversation, message + 1, false);
  const Content content = find_content(chat_template, conversation, text, message);
  AssistantTurn out;
  if (before && text.starts_with(*before)) {
    out.begin = before->size();
  } else if (content.begin) {
    out.begin = *content.begin;
  } else {
    return std::nullopt;
  }
  const bool calls = conversation.messages[message].contains("tool_calls");
  if (!calls && content.end && *content.end >= out.begin) {
    out.content = content.end;
  }
  const std::size_t least = out.content.value_or(out.begin);
  const std::size_t shared = until ? common_start(text, *until) : 0;
  if (shared < least && !out.content) {
    return std::nullopt;
  }
  out.end = shared < least ? text.size() : shared;
  return out;
}

}  // namespace

AssistantTurns find_assistant_turns(const ChatTemplate& chat_template, const Conversation& conversation,
                                    const std::string& text) {
  AssistantTurns out;
  for (std::size_t i = 0; i < conversation.messages.size(); ++i) {
    if (conversation.messages[i].value("role", "") != "assistant") {
      continue;
    }
    const std::optional<AssistantTurn> turn = find_turn(chat_template, conversation, text, i);
    if (!turn) {
      out.not_found = i + 1;
      return out;
    }
    out.turns.push_back(*turn);
  }
  return out;
}

}  // namespace lora_dist
