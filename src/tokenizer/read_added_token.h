// Reads a token with flags.
#pragma once

#include "src/tokenizer/added_tokens.h"
#include "src/tokenizer/json_fields.h"

namespace lora_dist {

/// Reads {"content": ..., flags}, without the id. Absent flags are false; normalized is the opposite of special. Throws
/// Error(model) that begins with `location`. Json: nlohmann::json or nlohmann::ordered_json.
template <class Json>
AddedToken read_added_token(const Json& object, const JsonLocation& location) {
  AddedToken out;
  out.content = text_member(object, "content", location);
  out.single_word = bool_member(object, "single_word", false, location);
  out.lstrip = bool_member(object, "lstrip", false, location);
  out.rstrip = bool_member(object, "rstrip", false, location);
  out.special = bool_member(object, "special", false, location);
  out.normalized = bool_member(object, "normalized", !out.special, location);
  return out;
}

}  // namespace lora_dist
