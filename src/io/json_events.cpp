// A handler of nlohmann-json's events that builds the document, or hands a member's events on.
#include "src/io/json_events.h"

#include <set>
#include <utility>
#include <vector>

#include "src/io/strict_json.h"

namespace lora_dist {
namespace {

using nlohmann::json;
using Kind = JsonEvent::Kind;

class EventReader : public json::json_sax_t {
 public:
  explicit EventReader(const std::map<std::string, JsonSink>& sinks) : sinks_(sinks) {}

  json take() { return std::move(root_); }

  bool null() override { return value({Kind::null}, nullptr); }
  bool boolean(bool is) override { return value({Kind::boolean}, is); }
  bool number_integer(std::int64_t number) override {
    return value({Kind::integer, 0, nullptr, static_cast<double>(number)}, number);
  }
  bool number_unsigned(std::uint64_t number) override {
    return value({Kind::integer, 0, nullptr, static_cast<double>(number)}, number);
  }
  bool number_float(double number, const std::string& /*text*/) override {
    return value({Kind::fraction, 0, nullptr, number}, number);
  }
  bool string(std::string& text) override {
    if (const JsonSink* sink = sink_here()) {
      send(*sink, {Kind::text, 0, &text});
    } else {
      place(std::move(text));
    }
    return true;
  }
  bool binary(json::binary_t& /*bytes*/) override { return false; }  // not in text

  bool start_object(std::size_t /*size*/) override { return begin({Kind::object_begin}, json::object()); }
  bool start_array(std::size_t /*size*/) override { return begin({Kind::array_begin}, json::array()); }
  bool end_object() override { return end({Kind::object_end}); }
  bool end_array() override { return end({Kind::array_end}); }

  bool key(std::string& text) override {
    if (sink_ != nullptr) {
      send(*sink_, {Kind::key, 0, &text});
      return true;
    }
    const bool twice = open_.back()->contains(text);
    keys_.back() = std::move(text);
    if (twice || (sink_here() != nullptr && !handed_on_.insert(path_here()).second)) {
      throw key_given_twice(keys_.back());
    }
    return true;
  }

  bool parse_error(std::size_t /*at*/, const std::string& /*token*/, const json::exception& error) override {
    throw json_error_of(error);
  }

 private:
  /// The open sink, or the one for the value that comes next.
  const JsonSink* sink_here() const {
    if (sink_ != nullptr || open_.size() > 2) {
      return sink_;
    }
    for (const json* open : open_) {
      if (!open->is_object()) {
        return nullptr;
      }
    }
    const auto found = sinks_.find(path_here());
    return found == sinks_.end() ? nullptr : &found->second;
  }

  /// "model.vocab" of the value that comes next.
  std::string path_here() const {
    std::string path;
    for (std::size_t i = 0; i < keys_.size(); ++i) {
      path += (i == 0 ? "" : ".") + keys_[i];
    }
    return path;
  }

  void send(const JsonSink& sink, JsonEvent event) const {
    event.depth = sink_ == nullptr ? 0 : sink_depth_;
    sink(event);
  }

  template <class Value>
  bool value(const JsonEvent& event, const Value& held) {
    if (const JsonSink* sink = sink_here()) {
      send(*sink, event);
    } else {
      place(held);
    }
    return true;
  }

  bool begin(const JsonEvent& event, json empty) {
    if (static_cast<int>(open_.size()) + sink_depth_ >= kMaxJsonDepth) {
      throw too_deep();
    }
    if (const JsonSink* sink = sink_here()) {
      send(*sink, event);
      sink_ = sink;
      ++sink_depth_;
      return true;
    }
    open_.push_back(place(std::move(empty)));
    keys_.emplace_back();
    return true;
  }

  bool end(const JsonEvent& event) {
    if (sink_ == nullptr) {
      open_.pop_back();
      keys_.pop_back();
      return true;
    }
    --sink_depth_;
    send(*sink_, event);
    sink_ = sink_depth_ == 0 ? nullptr : sink_;
    return true;
  }

  json* place(json value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    json& into = *open_.back();
    if (into.is_object()) {
      return &(into[keys_.back()] = std::move(value));
    }
    into.push_back(std::move(value));
    return &into.back();
  }

  const std::map<std::string, JsonSink>& sinks_;
  const JsonSink* sink_ = nullptr;  // its value is open
  int sink_depth_ = 0;
  std::set<std::string> handed_on_;  // paths of members whose events went to a sink
  json root_;
  std::vector<json*> open_;        // the objects and arrays around this point; a parent does not grow while its child is open
  std::vector<std::string> keys_;  // of each, the key of the member that is being read
};

void send_at(const json& value, const JsonSink& sink, int depth) {
  const auto event = [&](Kind kind, std::string* text = nullptr, double number = 0.0, int deeper = 0) {
    sink({kind, depth + deeper, text, number});
  };
  if (value.is_object()) {
    event(Kind::object_begin);
    for (const auto& [key, inner] : value.items()) {
      std::string copy = key;
      event(Kind::key, &copy, 0.0, 1);
      send_at(inner, sink, depth + 1);
    }
    event(Kind::object_end);
  } else if (value.is_array()) {
    event(Kind::array_begin);
    for (const json& inner : value) {
      send_at(inner, sink, depth + 1);
    }
    event(Kind::array_end);
  } else if (value.is_string()) {
    std::string copy = value.get<std::string>();
    event(Kind::text, &copy);
  } else if (value.is_number()) {
    event(value.is_number_integer() ? Kind::integer : Kind::fraction, nullptr, value.get<double>());
  } else {
    event(value.is_boolean() ? Kind::boolean : Kind::null);
  }
}

json parse_once(std::string_view text, const std::map<std::string, JsonSink>& sinks) {
  EventReader reader(sinks);
  json::sax_parse(text.begin(), text.end(), &reader);
  return reader.take();
}

}  // namespace

json parse_json_around(std::string_view text, const std::map<std::string, JsonSink>& sinks) {
  try {
    return parse_once(text, sinks);
  } catch (const JsonError&) {
    const std::string plain = without_python_numbers(text, false);
    if (plain == text) {
      throw;
    }
    return parse_once(plain, sinks);
  }
}

json read_json_file_around(const std::filesystem::path& file, ExitCode code, const std::map<std::string, JsonSink>& sinks) {
  return read_json_text(file, code, [&](std::string_view text) { return parse_json_around(text, sinks); });
}

void send_json(const json& value, const JsonSink& sink) { send_at(value, sink, 0); }

}  // namespace lora_dist
