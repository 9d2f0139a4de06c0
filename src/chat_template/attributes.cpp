// x.name, x[index] and x[a:b:c].
#include <algorithm>
#include <array>

#include "src/chat_template/interpreter.h"
#include "src/chat_template/python_text.h"

namespace lora_dist::jinja {
namespace {

constexpr std::array<std::string_view, 5> kDictMethods = {"get", "items", "keys", "values", "copy"};
constexpr std::array<std::string_view, 3> kListMethods = {"index", "count", "copy"};
constexpr std::array<std::string_view, 32> kTextMethods = {
    "strip",   "lstrip",  "rstrip",  "split",        "rsplit",       "splitlines", "startswith", "endswith",
    "replace", "upper",   "lower",   "title",        "capitalize",   "find",       "rfind",      "index",
    "rindex",  "count",   "join",    "removeprefix", "removesuffix", "partition",  "rpartition", "isdigit",
    "isalpha", "isalnum", "isspace", "isupper",      "islower",      "zfill",      "isnumeric",  "isdecimal"};
// Methods that modify a list or dict, which the sandbox forbids.
constexpr std::array<std::string_view, 12> kUnsafe = {"append",  "clear", "extend",  "insert",     "pop",    "remove",
                                                      "reverse", "sort",  "popitem", "setdefault", "update", "fromkeys"};

template <std::size_t N>
bool has(const std::array<std::string_view, N>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool has_method(const Value& object, const std::string& name) {
  if (object.text() != nullptr) {
    return has(kTextMethods, name);
  }
  const List* list = object.list();
  return object.dict() != nullptr ? has(kDictMethods, name)
                                  : list != nullptr && list->kind != Sequence::generator && has(kListMethods, name);
}

Value method(const Value& object, const std::string& name) {
  auto callable = std::make_shared<Callable>();
  callable->kind = CallableKind::method;
  callable->name = name;
  callable->self = object;
  return std::shared_ptr<const Callable>(std::move(callable));
}

std::string shown_type(const Value& object) { return object.is_none() ? "None" : type_name(object) + " object"; }

Value no_attribute(const Value& object, const std::string& name) {
  const bool container = object.list() != nullptr || object.dict() != nullptr;
  if (container && has(kUnsafe, name)) {
    return undefined("access to attribute '" + name + "' of '" + type_name(object) + "' object is unsafe.");
  }
  return undefined("'" + shown_type(object) + "' has no attribute '" + name + "'");
}

Value loop_attribute(const LoopState& loop, const std::string& name, const Value& object) {
  const auto length = static_cast<std::int64_t>(loop.items.size());
  const std::int64_t i = loop.index;
  if (name == "index0" || name == "index") {
    return i + (name == "index" ? 1 : 0);
  }
  if (name == "revindex0" || name == "revindex") {
    return length - i - (name == "revindex0" ? 1 : 0);
  }
  if (name == "first" || name == "last") {
    return name == "first" ? i == 0 : i + 1 >= length;
  }
  if (name == "length") {
    return length;
  }
  if (name == "depth0" || name == "depth") {
    return loop.depth + (name == "depth" ? 1 : 0);
  }
  if (name == "previtem") {
    return i > 0 ? loop.items[static_cast<std::size_t>(i - 1)] : undefined("there is no previous item");
  }
  if (name == "nextitem") {
    return i + 1 < length ? loop.items[static_cast<std::size_t>(i + 1)] : undefined("there is no next item");
  }
  return name == "cycle" || name == "changed" ? method(object, name)
                                              : undefined("'jinja2.runtime.LoopContext object' has no attribute '" + name + "'");
}

Value callable_attribute(const Callable& callable, const std::string& name, const Value& object) {
  if (callable.kind == CallableKind::macro && name == "name") {
    return callable.name;
  }
  if (callable.kind == CallableKind::loop) {
    const std::shared_ptr<LoopState> state = callable.loop.lock();
    if (state == nullptr) {
      throw TemplateError("a loop is used after its end");
    }
    return loop_attribute(*state, name, object);
  }
  return undefined("'function object' has no attribute '" + name + "'");
}

struct SliceBounds {
  std::int64_t start = 0, step = 1, count = 0;
};

/// Python's slice.indices.
SliceBounds bounds_of(const Value& start, const Value& stop, const Value& step, std::int64_t length) {
  const auto number = [](const Value& value) { return whole_number(value, "slice indices must be integers or None"); };
  SliceBounds out;
  out.step = step.is_none() ? 1 : number(step);
  if (out.step == 0) {
    throw TemplateError("slice step cannot be zero");
  }
  const bool back = out.step < 0;
  const auto clamped = [&](const Value& value, std::int64_t otherwise) {
    if (value.is_none()) {
      return otherwise;
    }
    std::int64_t at = std::clamp(number(value), -length - 1, length + 1);
    at += at < 0 ? length : 0;
    return std::clamp(at, back ? std::int64_t{-1} : std::int64_t{0}, back ? length - 1 : length);
  };
  out.start = clamped(start, back ? length - 1 : 0);
  const std::int64_t end = clamped(stop, back ? -1 : length);
  out.step = std::clamp(out.step, -length - 1, length + 1);
  const std::int64_t distance = back ? out.start - end : end - out.start;
  const std::int64_t stride = back ? -out.step : out.step;
  out.count = distance <= 0 ? 0 : (distance + stride - 1) / stride;
  return out;
}

template <class T, class Take>
void take_slice(const std::vector<T>& items, const SliceBounds& bounds, Take take) {
  std::int64_t at = bounds.start;
  for (std::int64_t i = 0; i < bounds.count; ++i, at += bounds.step) {
    take(items[static_cast<std::size_t>(at)]);
  }
}

}  // namespace

Value Interpreter::attribute(const Value& object, const std::string& name) {
  require_defined(object);
  charge(1);
  if (has_method(object, name)) {
    return method(object, name);
  }
  if (const Dict* dict = object.dict()) {
    charge(dict->items.size());
    const Value* found = find(*dict, name);
    return found != nullptr ? *found : no_attribute(object, name);
  }
  if (const auto* names = object.get<Namespace*>()) {
    for (const auto& [known, value] : (*names)->names) {
      if (known == name) {
        return value;
      }
    }
  }
  if (const auto* callable = object.get<std::shared_ptr<const Callable>>()) {
    return callable_attribute(**callable, name, object);
  }
  return no_attribute(object, name);
}

Value Interpreter::item(const Value& object, const Value& index) {
  require_defined(object);
  if (const Dict* dict = object.dict()) {
    charge(dict->items.size() + weight_of(index));
    if (const Value* found = find(*dict, index)) {
      return *found;
    }
  }
  if (const std::string* name = index.text()) {
    return object.dict() != nullptr && !has_method(object, *name) ? no_attribute(object, *name) : attribute(object, *name);
  }
  const bool number = index.get<std::int64_t>() != nullptr || index.get<bool>() != nullptr;
  const Value missing =
      undefined(shown_type(object) + " has no element " + (is_number(index) ? to_repr(index) : type_name(index)));
  if (!number) {
    return missing;
  }
  const std::int64_t at = whole_number(index, "index");
  const auto position = [&](std::int64_t length) { return at < 0 ? at + length : at; };
  if (const List* list = object.list(); list != nullptr && list->kind != Sequence::generator) {
    const auto length = static_cast<std::int64_t>(list->items.size());
    const std::int64_t i = at < -length ? -1 : position(length);
    return i >= 0 && i < length ? list->items[static_cast<std::size_t>(i)] : missing;
  }
  if (const std::string* text = object.text()) {
    charge(text->size());
    const auto characters = characters_of(*text);
    const auto length = static_cast<std::int64_t>(characters.size());
    const std::int64_t i = at < -length ? -1 : position(length);
    return i >= 0 && i < length ? Value(characters[static_cast<std::size_t>(i)]) : missing;
  }
  return missing;
}

Value Interpreter::slice(const Value& object, const Value& start, const Value& stop, const Value& step) {
  require_defined(object);
  if (const List* list = object.list(); list != nullptr && list->kind != Sequence::generator) {
    charge(16 * list->items.size());
    const SliceBounds bounds = bounds_of(start, stop, step, static_cast<std::int64_t>(list->items.size()));
    std::vector<Value> out;
    take_slice(list->items, bounds, [&](const Value& item) { out.push_back(item); });
    return make_list(std::move(out), list->kind);
  }
  if (const std::string* text = object.text()) {
    charge(16 * text->size());
    const auto characters = characters_of(*text);
    const SliceBounds bounds = bounds_of(start, stop, step, static_cast<std::int64_t>(characters.size()));
    std::string out;
    take_slice(characters, bounds, [&](std::string_view character) { out += character; });
    return out;
  }
  return undefined(shown_type(object) + " has no slice");
}

}  // namespace lora_dist::jinja
