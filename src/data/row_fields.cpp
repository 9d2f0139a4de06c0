// Messages name keys and types, and never quote a row.
#include "src/data/row_fields.h"

#include "src/core/error.h"

namespace lora_dist {

void fail_row(const std::string& location, const std::string& what) { throw Error(ExitCode::data, location + ": " + what); }

std::string reason_without(const std::string& location, const std::string& what) {
  if (!what.starts_with(location)) {
    return what;
  }
  const std::string rest = what.substr(location.size());
  return rest.starts_with(": ") || rest.starts_with(", ") ? rest.substr(2) : rest;
}

const std::string& text_value(const nlohmann::ordered_json& value, const char* key, const std::string& location) {
  if (!value.is_string()) {
    fail_row(location, std::string("\"") + key + "\" must be text (it is of type " + value.type_name() + ")");
  }
  return value.get_ref<const std::string&>();
}

bool is_blank(std::string_view text) { return text.find_first_not_of(kBlank) == std::string_view::npos; }

std::string ascii_lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return out;
}

}  // namespace lora_dist
