// Compares prefixes, contents and loop iterations between renderings.
#include "src/data/find_turn.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "src/data/chat_rows.h"
#include "src/data/row_fields.h"

namespace lora_dist {
namespace {

using json = nlohmann::ordered_json;

/// The text; nullopt if the template refuses the conversation (it accepted the whole one).
std::optional<RenderedChat> rendered_chat(const ChatTemplate& chat_template, const Conversation& conversation) {
  try {
    return render_chat(chat_template, conversation);
  } catch (const RenderError&) {
    return std::nullopt;
  }
}

std::size_t common_start(std::string_view a, std::string_view b) {
  const auto n = static_cast<std::ptrdiff_t>(std::min(a.size(), b.size()));
  return static_cast<std::size_t>(std::mismatch(a.begin(), a.begin() + n, b.begin()).first - a.begin());
}

/// The output of a message's loop iteration; nullopt if unknown. If the template prints a tool's answer in the iteration of the
/// call, only the part that does not depend on that answer belongs to the message.
std::optional<jinja::OutputSpan> printed_of(const ChatTemplate& chat_template, const Conversation& conversation,
                                            const RenderedChat& chat, std::size_t message) {
  jinja::OutputSpan span = chat.of_message[message];
  const bool last = message + 1 == chat.of_message.size();
  if (!last && chat.of_message[message + 1].begin < span.end) {  // missing, or not later
    Conversation other = conversation;
    other.messages[message + 1]["content"] = unused_word(chat.text);
    const std::optional<std::string> changed = rendered(chat_template, other);
    span.end = changed ? std::min(span.end, common_start(chat.text, *changed)) : span.begin;
  }
  return span.begin < span.end ? std::optional(span) : std::nullopt;
}

/// The generation prompt after the preceding messages; empty if the template has none.
std::string generation_prompt(const ChatTemplate& chat_template, const Conversation& conversation, std::size_t message) {
  const std::optional<std::string> with = rendered_start(chat_template, conversation, message, true);
  const std::optional<std::string> without = rendered_start(chat_template, conversation, message, false);
  return with && without && with->starts_with(*without) ? with->substr(without->size()) : std::string();
}

/// Outputs for variants of this message (other content, not the last): all share the header.
std::vector<std::string> variants_of(const ChatTemplate& chat_template, const Conversation& conversation, const std::string& text,
                                     std::size_t message) {
  const std::string word = unused_word(text);
  Conversation followed = conversation;  // by a user's message only
  followed.messages.erase(followed.messages.begin() + static_cast<std::ptrdiff_t>(message) + 1, followed.messages.end());
  followed.messages.push_back({{"role", "user"}, {"content", word}});
  Conversation plain = conversation;
  plain.messages[message] = {{"role", "assistant"}, {"content", word}};
  Conversation both = followed;
  both.messages[message] = plain.messages[message];
  std::vector<std::string> out;
  for (const Conversation* each : {&followed, &plain, &both}) {
    const std::optional<RenderedChat> chat = rendered_chat(chat_template, *each);
    if (const auto span = chat ? printed_of(chat_template, *each, *chat, message) : std::nullopt) {
      out.push_back(chat->text.substr(span->begin, span->end - span->begin));
    }
  }
  return out;
}

/// The turn's start in its iteration's output: after the header, the common prefix of output and generation prompt. If the prompt
/// is longer than the header or absent, the message's variants determine the header.
std::size_t header_size(const ChatTemplate& chat_template, const Conversation& conversation, const RenderedChat& chat,
                        std::size_t message, std::string_view printed) {
  const std::string prompt = generation_prompt(chat_template, conversation, message);
  if (const std::size_t at = printed.find(prompt); !prompt.empty() && at != std::string_view::npos) {
    return at + prompt.size();
  }
  std::size_t header = prompt.empty() ? printed.size() : common_start(printed, prompt);
  for (const std::string& variant : variants_of(chat_template, conversation, chat.text, message)) {
    header = std::min(header, common_start(printed, variant));
  }
  const bool blank = is_blank(printed.substr(0, header));  // a space before every answer belongs to the answer
  return blank || header == printed.size() ? 0 : header;
}

}  // namespace

std::optional<std::string> rendered(const ChatTemplate& chat_template, const Conversation& conversation) {
  std::optional<RenderedChat> chat = rendered_chat(chat_template, conversation);
  return chat ? std::optional(std::move(chat->text)) : std::nullopt;
}

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

std::string unused_word(const std::string& text) {
  std::string word = "Xq7answer0";
  for (int i = 1; text.find(word) != std::string::npos; ++i) {
    word = "Xq7answer" + std::to_string(i);
  }
  return word;
}

ContentEnds find_content(const ChatTemplate& chat_template, const Conversation& conversation, const std::string& text,
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
  ContentEnds out;
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

std::optional<AssistantTurn> find_turn(const ChatTemplate& chat_template, const Conversation& conversation,
                                       const RenderedChat& chat, std::size_t message) {
  const std::string& text = chat.text;
  const bool last = message + 1 == conversation.messages.size();
  const std::optional<std::string> before = rendered_start(chat_template, conversation, message, true);
  const std::optional<std::string> until = last ? text : rendered_start(chat_template, conversation, message + 1, false);
  const ContentEnds content = find_content(chat_template, conversation, text, message);
  const std::optional<jinja::OutputSpan> iteration = printed_of(chat_template, conversation, chat, message);
  AssistantTurn out;
  out.message = message;
  if (before && text.starts_with(*before)) {
    out.begin = before->size();
  } else if (iteration) {
    const std::string_view printed = std::string_view(text).substr(iteration->begin, iteration->end - iteration->begin);
    out.begin = iteration->begin + header_size(chat_template, conversation, chat, message, printed);
  } else if (content.begin) {
    out.begin = *content.begin;
  } else {
    return std::nullopt;
  }
  if (!has_calls(conversation.messages[message]) && content.end && *content.end >= out.begin) {
    out.content = Range{content.begin.value_or(*content.end), *content.end};
  }
  const std::size_t least = out.content ? out.content->end : out.begin;
  const std::size_t shared = until ? common_start(text, *until) : 0;
  if (iteration && least <= iteration->end) {
    out.iteration_end = iteration->end;
    out.end = std::max(iteration->end, shared);  // an end token may follow the iteration's output
    return out;
  }
  if (shared < least && !out.content) {
    return std::nullopt;
  }
  out.end = shared < least ? text.size() : shared;
  return out;
}

}  // namespace lora_dist
