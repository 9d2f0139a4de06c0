// Where the assistant speaks in what a chat template makes of a conversation.
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
  std::size_t message = 0;       // its number
  std::size_t begin = 0;         // behind what the template puts before an answer
  std::optional<Range> content;  // where that could be told
  std::size_t end = 0;           // no later than the next message
  std::size_t round_end = 0;     // of what the template's loop printed of the message; 0: not known
};

/// The turns of `conversation`, which was rendered as `chat`, in order. A turn begins where the rendering of the messages before
/// it with the generation prompt ends, if the text begins with that. Where it does not (earlier text depends on later messages,
/// or the turn on another prompt), the template's loop tells what it printed of the message, and the turn begins behind the
/// header there: what it has in common with the generation prompt. Else it begins where the content does. Content is found by
/// rendering the conversation with a word in its place: what stands before and after the word stands before and after the
/// content. In a long conversation the turns behind the first are found by what stands around that one, where every one of them
/// fits. A message that says nothing has no turn, nor has one of which the template prints nothing: whose text is the same with
/// an empty message in its place.
struct AssistantTurns {
  std::vector<AssistantTurn> turns;
  std::int64_t empty = 0;     // messages without a turn
  std::size_t not_found = 0;  // the number (from 1) of a message that could not be found; 0: all were
};
AssistantTurns find_assistant_turns(const ChatTemplate& chat_template, const Conversation& conversation,
                                    const RenderedChat& chat);

}  // namespace lora_dist
