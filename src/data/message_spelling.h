// One message of a conversation, however it is spelled.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace lora_dist {

/// {role, content, ...} from {role, content, ...} or {from, value, ...}: roles and calls as read_chat_row says (chat_rows.h),
/// members that are null left out, all others as they are. Throws Error(data) that begins with `place`.
nlohmann::ordered_json read_message(const nlohmann::ordered_json& message, const std::string& place);

}  // namespace lora_dist
