// Methods of str, dict, list and loop.
#include <algorithm>

#include <optional>

#include "src/chat_template/interpreter.h"
#include "src/chat_template/python_text.h"

namespace lora_dist::jinja {
namespace {

const std::string& text_argument(const Value* value, const char* what) {
  if (value == nullptr || value->text() == nullptr) {
    throw TemplateError(std::string(what) + " must be str" + (value == nullptr ? "" : ", not " + type_name(*value)));
  }
  return *value->text();
}

std::optional<std::string> optional_text(const Value* value, const char* what) {
  return value == nullptr || value->is_none() ? std::nullopt : std::optional(text_argument(value, what));
}

std::int64_t optional_number(const Value* value, std::int64_t otherwise, const char* what) {
  return value == nullptr ? otherwise : whole_number(*value, what);
}

Value list_of(Interpreter& in, const std::vector<std::string_view>& parts, Sequence kind = Sequence::list) {
  std::vector<Value> items(parts.begin(), parts.end());
  in.charge(64 * items.size());
  return make_list(std::move(items), kind);
}

bool affix_matches(const std::string& text, const Value& affix, bool front) {
  if (affix.list() != nullptr && affix.list()->kind == Sequence::tuple) {
    return std::any_of(affix.list()->items.begin(), affix.list()->items.end(),
                       [&](const Value& each) { return affix_matches(text, each, front); });
  }
  const std::string& part = text_argument(&affix, front ? "startswith first arg" : "endswith first arg");
  return front ? text.starts_with(part) : text.ends_with(part);
}

Value split_text(Interpreter& in, const std::string& text, const std::string& name, const CallArguments& arguments) {
  const auto bound = bind(arguments, {"sep", "maxsplit"}, name);
  const std::optional<std::string> separator = optional_text(bound[0], name.c_str());
  if (separator && separator->empty()) {
    throw TemplateError("empty separator");
  }
  const std::int64_t most = optional_number(bound[1], -1, name.c_str());
  in.charge(16 * text.size());
  return list_of(in, split(text, separator, most, name == "rsplit"));
}

Value partition(Interpreter& in, const std::string& text, const std::string& name, const CallArguments& arguments) {
  const std::string& separator = text_argument(bind(arguments, {"sep"}, name)[0], "separator");
  if (separator.empty()) {
    throw TemplateError("empty separator");
  }
  const bool last = name == "rpartition";
  const std::size_t at = last ? text.rfind(separator) : text.find(separator);
  const std::string_view view = text;
  if (at == std::string::npos) {
    return list_of(in, last ? std::vector<std::string_view>{"", "", view} : std::vector<std::string_view>{view, "", ""},
                   Sequence::tuple);
  }
  return list_of(in, {view.substr(0, at), separator, view.substr(at + separator.size())}, Sequence::tuple);
}

/// find, rfind, index, rindex: in characters.
Value find_text(const std::string& text, const std::string& name, const CallArguments& arguments) {
  const std::string& part = text_argument(bind(arguments, {"sub"}, name)[0], "argument 1");
  const std::size_t at = name.starts_with('r') ? text.rfind(part) : text.find(part);
  if (at == std::string::npos) {
    if (name.ends_with("index")) {
      throw TemplateError("substring not found");
    }
    return -1;
  }
  return length_of(std::string_view(text).substr(0, at));
}

Value replace_text(Interpreter& in, const std::string& text, const CallArguments& arguments) {
  const auto bound = bind(arguments, {"old", "new", "count"}, "replace");
  const std::string& from = text_argument(bound[0], "replace() argument 1");
  const std::string& to = text_argument(bound[1], "replace() argument 2");
  const std::int64_t most = optional_number(bound[2], -1, "replace");
  in.charge(text.size() + count(text, from) * to.size());
  return replace(text, from, to, most);
}

Value join_text(Interpreter& in, const std::string& separator, const CallArguments& arguments) {
  const auto bound = bind(arguments, {"iterable"}, "join");
  std::string out;
  bool first = true;
  for (const Value& item : bound[0] == nullptr ? std::vector<Value>{} : in.elements(*bound[0])) {
    const std::string& text = text_argument(&item, "sequence item");
    in.charge(text.size() + separator.size());
    out += (first ? "" : separator) + text;
    first = false;
  }
  return out;
}

Value zero_filled(Interpreter& in, const std::string& text, const CallArguments& arguments) {
  const std::int64_t width = optional_number(bind(arguments, {"width"}, "zfill")[0], 0, "zfill");
  const std::int64_t missing = std::max<std::int64_t>(width - length_of(text), 0);
  in.charge(static_cast<std::size_t>(missing));
  const std::size_t sign = text.starts_with('-') || text.starts_with('+') ? 1 : 0;
  return text.substr(0, sign) + std::string(static_cast<std::size_t>(missing), '0') + text.substr(sign);
}

std::optional<bool> question(const std::string& text, const std::string& name) {
  if (name == "isdigit" || name == "isnumeric" || name == "isdecimal") {
    return all_digits(text);
  }
  if (name == "isalpha" || name == "isalnum") {
    return all_letters(text, name == "isalnum");
  }
  if (name == "isspace") {
    return all_spaces(text);
  }
  return name == "isupper" || name == "islower" ? std::optional(all_of_case(text, name == "isupper")) : std::nullopt;
}

std::optional<std::string> changed_case(const std::string& text, const std::string& name) {
  return name == "upper"        ? std::optional(upper(text))
         : name == "lower"      ? std::optional(lower(text))
         : name == "title"      ? std::optional(title(text))
         : name == "capitalize" ? std::optional(capitalize(text))
                                : std::nullopt;
}

Value text_method(Interpreter& in, const std::string& text, const std::string& name, const CallArguments& arguments) {
  if (name == "(characters)") {
    return list_of(in, characters_of(text));
  }
  in.charge(text.size());
  if (name == "strip" || name == "lstrip" || name == "rstrip") {
    const std::optional<std::string> chars = optional_text(bind(arguments, {"chars"}, name)[0], name.c_str());
    return strip(text, chars, name != "rstrip", name != "lstrip");
  }
  if (name == "split" || name == "rsplit") {
    return split_text(in, text, name, arguments);
  }
  if (name == "splitlines") {
    const Value* keep = bind(arguments, {"keepends"}, name)[0];
    return list_of(in, split_lines(text, keep != nullptr && is_true(*keep)));
  }
  if (name == "startswith" || name == "endswith") {
    const Value* affix = bind(arguments, {"affix"}, name)[0];
    return affix_matches(text, affix == nullptr ? Value() : *affix, name == "startswith");
  }
  if (name == "removeprefix" || name == "removesuffix") {
    const std::string& affix = text_argument(bind(arguments, {"affix"}, name)[0], name.c_str());
    const bool front = name == "removeprefix";
    const bool there = front ? text.starts_with(affix) : text.ends_with(affix);
    return !there ? text : front ? text.substr(affix.size()) : text.substr(0, text.size() - affix.size());
  }
  if (name == "partition" || name == "rpartition") {
    return partition(in, text, name, arguments);
  }
  if (name == "replace") {
    return replace_text(in, text, arguments);
  }
  if (name == "join") {
    return join_text(in, text, arguments);
  }
  if (name == "zfill") {
    return zero_filled(in, text, arguments);
  }
  if (name == "count") {
    return static_cast<std::int64_t>(count(text, text_argument(bind(arguments, {"sub"}, name)[0], "argument 1")));
  }
  if (name == "find" || name == "rfind" || name == "index" || name == "rindex") {
    return find_text(text, name, arguments);
  }
  bind(arguments, {}, name);
  if (const std::optional<bool> answer = question(text, name)) {
    return *answer;
  }
  return changed_case(text, name).value();
}

Value dict_method(Interpreter& in, const Value& self, const std::string& name, const CallArguments& arguments) {
  const Dict& dict = *self.dict();
  in.charge(16 * dict.items.size());
  if (name == "get") {
    const auto bound = bind(arguments, {"key", "default"}, "get");
    if (bound[0] == nullptr) {
      throw TemplateError("get expected at least 1 argument, got 0");
    }
    const Value* found = find(dict, *bound[0]);
    return found != nullptr ? *found : bound[1] != nullptr ? *bound[1] : Value(None{});
  }
  bind(arguments, {}, name);
  if (name == "copy") {
    return self;
  }
  std::vector<Value> out;
  for (const auto& [key, value] : dict.items) {
    out.push_back(name == "keys" ? key : name == "values" ? value : make_list({key, value}, Sequence::tuple));
  }
  return make_list(std::move(out));
}

Value list_method(Interpreter& in, const Value& self, const std::string& name, const CallArguments& arguments) {
  in.charge(weight_of(self));
  const std::vector<Value>& items = self.list()->items;
  if (name == "copy") {
    bind(arguments, {}, name);
    return self;
  }
  const Value* wanted = bind(arguments, {"value"}, name)[0];
  if (wanted == nullptr) {
    throw TemplateError(name + " expected 1 argument, got 0");
  }
  if (name == "count") {
    return static_cast<std::int64_t>(
        std::count_if(items.begin(), items.end(), [&](const Value& item) { return equal(item, *wanted); }));
  }
  const auto found = std::find_if(items.begin(), items.end(), [&](const Value& item) { return equal(item, *wanted); });
  if (found == items.end()) {
    throw TemplateError("the value is not in the list");
  }
  return static_cast<std::int64_t>(found - items.begin());
}

Value loop_method(Interpreter& in, const Callable& loop, const std::string& name, const CallArguments& arguments) {
  const std::shared_ptr<LoopState> state = loop.loop.lock();
  if (state == nullptr) {
    throw TemplateError("a loop is used after its end");
  }
  if (name == "cycle") {
    if (arguments.positional.empty()) {
      throw TemplateError("no items for cycling given");
    }
    return arguments.positional[static_cast<std::size_t>(state->index) % arguments.positional.size()];
  }
  Value values = make_list(arguments.positional, Sequence::tuple);
  in.charge(weight_of(values));
  const bool changed = !state->has_changed || !equal(values, state->last_changed);
  state->last_changed = std::move(values);
  state->has_changed = true;
  return changed;
}

}  // namespace

Value Interpreter::call_method(const Value& self, const std::string& name, const CallArguments& arguments) {
  if (const std::string* text = self.text()) {
    return text_method(*this, *text, name, arguments);
  }
  if (self.dict() != nullptr) {
    return dict_method(*this, self, name, arguments);
  }
  if (self.list() != nullptr) {
    return list_method(*this, self, name, arguments);
  }
  return loop_method(*this, **self.get<std::shared_ptr<const Callable>>(), name, arguments);
}

}  // namespace lora_dist::jinja
