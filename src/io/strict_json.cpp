// Strictness on top of nlohmann-json: its parser accepts a key twice and any depth, so a callback watches the events.
#include "src/io/strict_json.h"

#include <set>
#include <vector>

#include "src/io/file.h"

namespace lora_dist {
namespace {

using nlohmann::json;
using Event = json::parse_event_t;

constexpr int kMaxDepth = 64;  // keeps the recursion of destructors and of dump() bounded
constexpr std::uint64_t kMaxFileBytes = std::uint64_t{256} << 20;

/// Keys of the objects that are open at this point of the text.
class OpenObjects {
 public:
  template <class Json>
  void watch(int depth, Event event, const Json& parsed) {
    if ((event == Event::object_start || event == Event::array_start) && depth >= kMaxDepth) {
      throw JsonError("nested deeper than " + std::to_string(kMaxDepth) + " levels");
    }
    if (event == Event::object_start) {
      keys_.emplace_back();
    } else if (event == Event::object_end) {
      keys_.pop_back();
    } else if (event == Event::key && !keys_.back().insert(parsed.template get<std::string>()).second) {
      throw JsonError("the key \"" + parsed.template get<std::string>().substr(0, 200) + "\" is given twice");
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
    std::string what = e.what();
    if (const std::size_t bracket = what.find("] "); bracket != std::string::npos) {
      what.erase(0, bracket + 2);  // the library's own error number
    }
    throw JsonError(what.substr(0, 300));  // it may quote a token as long as the file
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

}  // namespace

json parse_strict_json(std::string_view text) { return parse_watched<json>(text); }
nlohmann::ordered_json parse_ordered_json(std::string_view text) { return parse_watched<nlohmann::ordered_json>(text); }

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
      return false;  // handed over: the parser need not keep it
    }
    return true;
  };
  parse_with<json>(text, callback);
}

namespace {

template <class Json>
Json read_watched_file(const std::filesystem::path& file, ExitCode code) {
  if (InputFile(file, code).size() > kMaxFileBytes) {
    throw Error(code, file.string() + " is larger than 256 MiB, which no JSON file of this kind is");
  }
  try {
    return parse_watched<Json>(read_text_file(file, code));
  } catch (const JsonError& e) {
    throw Error(code, file.string() + " is not valid JSON: " + e.what());
  }
}

}  // namespace

json read_json_file(const std::filesystem::path& file, ExitCode code) { return read_watched_file<json>(file, code); }

nlohmann::ordered_json read_ordered_json_file(const std::filesystem::path& file, ExitCode code) {
  return read_watched_file<nlohmann::ordered_json>(file, code);
}

}  // namespace lora_dist
