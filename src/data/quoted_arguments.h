// Calls of tools whose arguments a row gives as a text that is JSON: many templates print that once more in quotes.
#pragma once

#include <string>

#include "src/chat_template/chat_template.h"

namespace lora_dist {

/// True if `text`, the conversation as rendered, holds such arguments as a quoted text: "{\"town\": ...}".
bool prints_quoted_arguments(const Conversation& conversation, const std::string& text);

}  // namespace lora_dist
