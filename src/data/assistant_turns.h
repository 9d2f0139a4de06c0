// Finds the assistant's turns in a rendered conversation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/chat_template/chat_template.h"
#include "src/tokenizer/split.h"

namespace lora_dist {

/// A turn of the assistant, in bytes of the rendered text.
struct AssistantTurn {
  std::size_t message = 0;        // message number
  std::size_t begin = 0;          // after the template's prefix of an answer
  std::optional<Range> content;   // if found
  std::size_t end = 0;            // no later than the next message
  std::size_t iteration_end = 0;  // end of the loop iteration's output for the message; 0: unknown
};

/// The turns of `conversation`, rendered as `chat`, in order. A turn begins at the end of the rendering of the preceding messages
/// with the generation prompt, if the text begins with that rendering. Otherwise (earlier text depends on later messages, or the
/// turn has another prompt) it begins, in the loop iteration's output for the message, after the header: the prefix in common
/// with the generation prompt. Otherwise it begins at the content. Content is found by rendering the conversation with a
/// placeholder word: the text before and after the word surrounds the content. In a long conversation later turns are found by
/// the surroundings of the first one, if all match. An empty message has no turn, nor has a message that the template does not
/// print (an empty message gives the same text).
struct AssistantTurns {
  std::vector<AssistantTurn> turns;
  std::int64_t empty = 0;     // messages without a turn
  std::size_t not_found = 0;  // the number (from 1) of a message that was not found; 0: none
};
AssistantTurns find_assistant_turns(const ChatTemplate& chat_template, const Conversation& conversation,
                                    const RenderedChat& chat);

}  // namespace lora_dist
