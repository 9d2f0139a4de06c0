// Normalises one message of a conversation.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace lora_dist {

/// Converts {role, content, ...} or {from, value, ...} to {role, content, ...}: roles and calls as in read_chat_row
/// (chat_rows.h), null members dropped, others unchanged. Throws Error(data) that begins with `location`.
nlohmann::ordered_json read_message(const nlohmann::ordered_json& message, const std::string& location);

}  // namespace lora_dist
