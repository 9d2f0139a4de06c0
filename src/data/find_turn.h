// Finds one assistant turn in a rendered conversation by rendering variants.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "src/chat_template/chat_template.h"
#include "src/data/assistant_turns.h"

namespace lora_dist {

/// The turn of message number `message`, as in AssistantTurns; nullopt if not found.
std::optional<AssistantTurn> find_turn(const ChatTemplate& chat_template, const Conversation& conversation,
                                       const RenderedChat& chat, std::size_t message);

/// The content of a message in the rendered text, found by rendering a placeholder word; nullopt if the surrounding text depends
/// on the content.
struct ContentEnds {
  std::optional<std::size_t> begin, end;
};
ContentEnds find_content(const ChatTemplate& chat_template, const Conversation& conversation, const std::string& text,
                         std::size_t message);

/// The text of a conversation; nullopt if the template refuses it.
std::optional<std::string> rendered(const ChatTemplate& chat_template, const Conversation& conversation);

/// The text of its first `count` messages, with or without the generation prompt; nullopt if refused.
std::optional<std::string> rendered_start(const ChatTemplate& chat_template, const Conversation& conversation, std::size_t count,
                                          bool generation_prompt);

/// A placeholder of letters and digits that the text does not contain, and that templates do not trim or split.
std::string unused_word(const std::string& text);

}  // namespace lora_dist
