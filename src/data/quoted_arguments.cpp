// Searches for the text as tojson prints it, with and without escapes of non-ASCII letters.
#include "src/data/quoted_arguments.h"

#include <nlohmann/json.hpp>
#include <vector>

#include "src/io/strict_json.h"

namespace lora_dist {
namespace {

using json = nlohmann::ordered_json;

bool spells_json(const std::string& text) {
  try {
    return parse_ordered_json(text).is_structured();
  } catch (const JsonError&) {
    return false;
  }
}

/// The member of an object, or null.
const json* member(const json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  return object.is_object() && found != object.end() ? &*found : nullptr;
}

/// The call arguments that are JSON texts.
std::vector<std::string> texts_of_arguments(const json& messages) {
  std::vector<std::string> out;
  for (const json& message : messages) {
    const json* calls = member(message, "tool_calls");
    for (const json& call : calls != nullptr && calls->is_array() ? *calls : json::array()) {
      const json* function = member(call, "function");
      const json* arguments = member(function != nullptr ? *function : call, "arguments");
      if (arguments != nullptr && arguments->is_string() && spells_json(arguments->get_ref<const std::string&>())) {
        out.push_back(arguments->get<std::string>());
      }
    }
  }
  return out;
}

std::string quoted_text(const std::string& text, bool ascii) {
  return json(text).dump(-1, ' ', ascii, json::error_handler_t::replace);
}

}  // namespace

bool prints_quoted_arguments(const Conversation& conversation, const std::string& text) {
  const std::size_t first = text.find("\\\"");  // quoted JSON contains escaped quotes; most texts have none
  if (first == std::string::npos) {
    return false;
  }
  for (const std::string& arguments : texts_of_arguments(conversation.messages)) {
    const std::string quoted = quoted_text(arguments, false);
    const std::string in_ascii = quoted_text(arguments, true);
    if (text.find(quoted) != std::string::npos || (in_ascii != quoted && text.find(in_ascii) != std::string::npos)) {
      return true;
    }
  }
  return false;
}

}  // namespace lora_dist
