// Adds checks to nlohmann-json, whose parser accepts duplicate keys and any depth: a callback inspects the events.
#include "src/io/strict_json.h"

#include <algorithm>
#include <array>
#include <set>
#include <vector>

#include "src/io/file.h"

namespace lora_dist {
namespace {

using nlohmann::json;
using Event = json::parse_event_t;

constexpr std::uint64_t kMaxFileBytes = std::uint64_t{256} << 20;

/// Keys of the enclosing objects at this point of the text.
class OpenObjects {
 public:
  template <class Json>
  void watch(int depth, Event event, const Json& parsed) {
    if ((event == Event::object_start || event == Event::array_start) && depth >= kMaxJsonDepth) {
      throw too_deep();
    }
    if (event == Event::object_start) {
      keys_.emplace_back();
    } else if (event == Event::object_end) {
      keys_.pop_back();
    } else if (event == Event::key && !keys_.back().insert(parsed.template get<std::string>()).second) {
      throw key_given_twice(parsed.template get<std::string>());
    }
  }

 private:
  std::vector<std::set<std::string>> keys_;
};

template <class Json>
Json parse_with(std::string_view text, const typename Json::parser_callback_t& callback) {
  try {
    return Json::parse(text.begin(), text.end(), callback);
  } catch (const json::exception& e) {
    throw json_error_of(e);
  }
}

template <class Json>
Json parse_watched(std::string_view text) {
  OpenObjects open;
  return parse_with<Json>(text, [&](int depth, typename Json::parse_event_t event, Json& parsed) {
    open.watch(depth, static_cast<Event>(event), parsed);
    return true;
  });
}

template <class Json>
Json parse_python_json(std::string_view text, bool as_null) {
  try {
    return parse_watched<Json>(text);
  } catch (const JsonError&) {
    const std::string plain = without_python_numbers(text, as_null);
    if (plain == text) {
      throw;
    }
    return parse_watched<Json>(plain);
  }
}

}  // namespace

JsonError key_given_twice(const std::string& key) { return JsonError("the key \"" + key.substr(0, 200) + "\" is given twice"); }

JsonError too_deep() { return JsonError("nested deeper than " + std::to_string(kMaxJsonDepth) + " levels"); }

JsonError json_error_of(const json::exception& error) {
  std::string what = error.what();
  if (const std::size_t bracket = what.find("] "); bracket != std::string::npos) {
    what.erase(0, bracket + 2);
  }
  return JsonError(what.substr(0, 300));
}

std::string without_python_numbers(std::string_view text, bool as_null) {
  constexpr std::array<std::string_view, 3> kNames = {"-Infinity", "Infinity", "NaN"};
  std::string out;
  bool in_text = false;
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view rest = text.substr(at);
    const auto name = std::ranges::find_if(kNames, [&](std::string_view each) { return rest.starts_with(each); });
    if (!in_text && name != kNames.end()) {
      out += as_null ? "null" : '"' + std::string(*name) + '"';
      at += name->size();
      continue;
    }
    if (rest[0] == '\\' && rest.size() > 1) {  // skips an escaped quotation mark
      out += rest[0];
      ++at;
    } else if (rest[0] == '"') {
      in_text = !in_text;
    }
    out += text[at++];
  }
  return out;
}

json parse_strict_json(std::string_view text) { return parse_watched<json>(text); }
nlohmann::ordered_json parse_ordered_json(std::string_view text) { return parse_watched<nlohmann::ordered_json>(text); }
nlohmann::ordered_json parse_python_row(std::string_view text) { return parse_python_json<nlohmann::ordered_json>(text, true); }

void parse_json_members(std::string_view text, const std::function<void(const std::string&, const json&)>& member) {
  OpenObjects open;
  std::string key;
  const auto callback = [&](int depth, Event event, json& parsed) {
    open.watch(depth, event, parsed);
    if (depth == 0 && (event == Event::array_start || event == Event::value)) {
      throw JsonError("it is not an object");
    }
    if (depth == 1 && event == Event::key) {
      key = parsed.get<std::string>();
    }
    if (depth == 1 && (event == Event::object_end || event == Event::array_end || event == Event::value)) {
      member(key, parsed);
      return false;  // discards the member after use
    }
    return true;
  };
  parse_with<json>(text, callback);
}

namespace {

template <class Json, class Parse>
Json read_with(const std::filesystem::path& file, ExitCode code, const Parse& parse) {
  if (InputFile(file, code).size() > kMaxFileBytes) {
    throw Error(code, file.string() + " is larger than 256 MiB, which no JSON file of this kind is");
  }
  try {
    return parse(read_text_file(file, code));
  } catch (const JsonError& e) {
    throw Error(code, file.string() + " is not valid JSON: " + e.what());
  }
}

template <class Json>
Json read_watched_file(const std::filesystem::path& file, ExitCode code) {
  return read_with<Json>(file, code, [](std::string_view text) { return parse_python_json<Json>(text, false); });
}

}  // namespace

json read_json_text(const std::filesystem::path& file, ExitCode code, const std::function<json(std::string_view)>& parse) {
  return read_with<json>(file, code, parse);
}

json read_json_file(const std::filesystem::path& file, ExitCode code) { return read_watched_file<json>(file, code); }

nlohmann::ordered_json read_ordered_json_file(const std::filesystem::path& file, ExitCode code) {
  return read_watched_file<nlohmann::ordered_json>(file, code);
}

}  // namespace lora_dist
