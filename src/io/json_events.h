// Reads a JSON file whose largest members are not kept as a document: they are passed on event by event.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "src/core/error.h"

namespace lora_dist {

struct JsonEvent {
  enum class Kind : std::uint8_t {
    null,
    boolean,
    integer,
    fraction,
    text,
    key,
    object_begin,
    object_end,
    array_begin,
    array_end
  };
  Kind kind = Kind::null;
  int depth = 0;                // 0: the member's value itself, 1: what it holds
  std::string* text = nullptr;  // of a text or key; may be moved from
  double number = 0.0;          // of an integer or fraction
};

/// Called for each event of one value. An event of depth 0 that is no end begins a value anew: a file can be read twice.
using JsonSink = std::function<void(const JsonEvent&)>;

/// Like read_json_file(), but the values at the keys of `sinks` go there, and are left out of the result. "model.vocab" is the
/// member vocab of the object that is the member model; "" is the document. The sink checks keys given twice. Throws Error(code)
/// as read_json_file() does; so does a JsonError that a sink throws.
nlohmann::json read_json_file_around(const std::filesystem::path& file, ExitCode code,
                                     const std::map<std::string, JsonSink>& sinks);

/// The same for a text; throws JsonError.
nlohmann::json parse_json_around(std::string_view text, const std::map<std::string, JsonSink>& sinks);

/// Passes on a value as if it were read.
void send_json(const nlohmann::json& value, const JsonSink& sink);

}  // namespace lora_dist
