// Detects tool call arguments given as JSON text, which many templates quote a second time.
#pragma once

#include <string>

#include "src/chat_template/chat_template.h"

namespace lora_dist {

/// True if the rendered `text` contains such arguments as quoted text: "{\"town\": ...}".
bool prints_quoted_arguments(const Conversation& conversation, const std::string& text);

}  // namespace lora_dist
