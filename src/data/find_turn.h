// One turn of the assistant in a rendered conversation, found by rendering again with less or with something else.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "src/chat_template/chat_template.h"
#include "src/data/assistant_spans.h"

namespace lora_dist {

/// The turn of message number `message`, as AssistantTurns says; nothing where it cannot be found.
std::optional<AssistantTurn> find_turn(const ChatTemplate& chat_template, const Conversation& conversation,
                                       const RenderedChat& chat, std::size_t message);

/// Where the content of a message stands in the text that the conversation was rendered as, found by rendering it with a word in
/// the content's place; nothing where what stands before, or after, depends on the content.
struct ContentEnds {
  std::optional<std::size_t> begin, end;
};
ContentEnds find_content(const ChatTemplate& chat_template, const Conversation& conversation, const std::string& text,
                         std::size_t message);

/// The text of a conversation; nothing where the template refuses it.
std::optional<std::string> rendered(const ChatTemplate& chat_template, const Conversation& conversation);

/// The text of its first `count` messages, with or without the generation prompt; nothing where there is none.
std::optional<std::string> rendered_start(const ChatTemplate& chat_template, const Conversation& conversation, std::size_t count,
                                          bool generation_prompt);

/// A word of letters and digits that the text does not hold: what templates trim, split or compare leaves it alone.
std::string unused_word(const std::string& text);

}  // namespace lora_dist
