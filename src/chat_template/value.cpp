// Python's rules of truth, equality, order and text.
#include "src/chat_template/value.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "src/chat_template/python_text.h"

namespace lora_dist::jinja {
namespace {

int depth_of(const Value& value) {
  if (const List* list = value.list()) {
    return list->depth;
  }
  const Dict* dict = value.dict();
  return dict != nullptr ? dict->depth : 0;
}

struct Measure {
  int depth = 0;
  std::size_t weight = 1;

  void add(const Value& value) {
    depth = std::max(depth, depth_of(value));
    weight += weight_of(value);  // each at most kMaxWeight, and there are far fewer than 2^32: no overflow
    if (depth >= kMaxNesting) {
      throw TemplateError("lists and dicts are nested deeper than " + std::to_string(kMaxNesting) + " levels");
    }
    if (weight > kMaxWeight) {
      throw TemplateError("a list or dict is larger than a chat template may make it");
    }
  }
};

bool both_numbers(const Value& a, const Value& b) { return is_number(a) && is_number(b); }

std::int64_t as_int(const Value& value) {
  const bool* flag = value.get<bool>();
  return flag != nullptr ? static_cast<std::int64_t>(*flag) : *value.get<std::int64_t>();
}

bool is_real(const Value& value) { return value.get<double>() != nullptr; }

std::string dict_repr(const Dict& dict) {
  std::string out = "{";
  for (const auto& [key, item] : dict.items) {
    out += (out.size() > 1 ? ", " : "") + to_repr(key) + ": " + to_repr(item);
  }
  return out + "}";
}

std::string list_repr(const List& list) {
  if (list.kind == Sequence::generator) {
    throw TemplateError("a generator is printed; put |list behind the filter");
  }
  if (list.kind == Sequence::range) {
    throw TemplateError("a range is printed; put |list behind it");
  }
  const bool tuple = list.kind == Sequence::tuple;
  std::string out = tuple ? "(" : "[";
  for (std::size_t i = 0; i < list.items.size(); ++i) {
    out += (i == 0 ? "" : ", ") + to_repr(list.items[i]);
  }
  return out + (tuple ? list.items.size() == 1 ? ",)" : ")" : "]");
}

}  // namespace

Value undefined(std::string why) {
  Value out;
  out.data = Undefined{std::make_shared<const std::string>(std::move(why))};
  return out;
}

Value make_list(std::vector<Value> items, Sequence kind) {
  Measure measure;
  for (const Value& item : items) {
    measure.add(item);
  }
  Value out;
  out.data = std::make_shared<const List>(List{kind, std::move(items), measure.depth + 1, measure.weight});
  return out;
}

Value make_dict(std::vector<std::pair<Value, Value>> items) {
  Measure measure;
  for (const auto& [key, item] : items) {
    measure.add(key);
    measure.add(item);
  }
  Value out;
  out.data = std::make_shared<const Dict>(Dict{std::move(items), measure.depth + 1, measure.weight});
  return out;
}

std::size_t weight_of(const Value& value) {
  if (const std::string* text = value.text()) {
    return text->size() + 1;
  }
  if (const List* list = value.list()) {
    return list->weight;
  }
  const Dict* dict = value.dict();
  return dict != nullptr ? dict->weight : 1;
}

Value value_of_json(const nlohmann::ordered_json& json) {
  switch (json.type()) {
    case nlohmann::ordered_json::value_t::boolean:
      return json.get<bool>();
    case nlohmann::ordered_json::value_t::number_integer:
    case nlohmann::ordered_json::value_t::number_unsigned:
      if (json.is_number_unsigned() && json.get<std::uint64_t>() > INT64_MAX) {
        return json.get<double>();
      }
      return json.get<std::int64_t>();
    case nlohmann::ordered_json::value_t::number_float:
      return json.get<double>();
    case nlohmann::ordered_json::value_t::string:
      return json.get<std::string>();
    case nlohmann::ordered_json::value_t::array: {
      std::vector<Value> items;
      for (const auto& item : json) {
        items.push_back(value_of_json(item));
      }
      return make_list(std::move(items));
    }
    case nlohmann::ordered_json::value_t::object: {
      std::vector<std::pair<Value, Value>> items;
      for (const auto& [key, item] : json.items()) {
        items.emplace_back(Value(key), value_of_json(item));
      }
      return make_dict(std::move(items));
    }
    default:
      return None{};
  }
}

bool is_true(const Value& value) {
  if (value.is_undefined() || value.is_none()) {
    return false;
  }
  if (is_number(value)) {
    return is_real(value) ? *value.get<double>() != 0.0 : as_int(value) != 0;
  }
  if (const std::string* text = value.text()) {
    return !text->empty();
  }
  if (const List* list = value.list()) {
    return list->kind == Sequence::generator || !list->items.empty();
  }
  const Dict* dict = value.dict();
  return dict == nullptr || !dict->items.empty();
}

std::string type_name(const Value& value) {
  constexpr const char* kNames[] = {"Undefined", "NoneType", "bool", "int",       "float",
                                    "str",       "list",     "dict", "Namespace", "function"};
  if (const List* list = value.list()) {
    constexpr const char* kSequences[] = {"list", "tuple", "range", "generator"};
    return kSequences[static_cast<std::size_t>(list->kind)];
  }
  return kNames[value.data.index()];
}

bool is_number(const Value& value) {
  return value.get<bool>() != nullptr || value.get<std::int64_t>() != nullptr || value.get<double>() != nullptr;
}

double as_double(const Value& number) { return is_real(number) ? *number.get<double>() : static_cast<double>(as_int(number)); }

bool equal(const Value& a, const Value& b) {
  if (both_numbers(a, b)) {
    return is_real(a) || is_real(b) ? as_double(a) == as_double(b) : as_int(a) == as_int(b);
  }
  if (a.data.index() != b.data.index()) {
    return false;
  }
  if (const std::string* text = a.text()) {
    return *text == *b.text();
  }
  if (const List* list = a.list()) {
    const List* other = b.list();
    return list == other ||
           (list->kind == other->kind && list->kind != Sequence::generator && list->items.size() == other->items.size() &&
            std::equal(list->items.begin(), list->items.end(), other->items.begin(), equal));
  }
  if (const Dict* dict = a.dict()) {
    const Dict* other = b.dict();
    return dict == other || (dict->items.size() == other->items.size() &&
                             std::all_of(dict->items.begin(), dict->items.end(), [&](const auto& item) {
                               const Value* found = find(*other, item.first);
                               return found != nullptr && equal(item.second, *found);
                             }));
  }
  if (const auto* names = a.get<Namespace*>()) {
    return *names == *b.get<Namespace*>();
  }
  if (const auto* callable = a.get<std::shared_ptr<const Callable>>()) {
    return *callable == *b.get<std::shared_ptr<const Callable>>();
  }
  return true;  // both undefined, or both none
}

bool less(const Value& a, const Value& b) {
  if (both_numbers(a, b)) {
    return is_real(a) || is_real(b) ? as_double(a) < as_double(b) : as_int(a) < as_int(b);
  }
  if (a.text() != nullptr && b.text() != nullptr) {
    return *a.text() < *b.text();  // UTF-8 orders as its code points do
  }
  const List* left = a.list();
  const List* right = b.list();
  if (left != nullptr && right != nullptr && left->kind == right->kind && left->kind <= Sequence::tuple) {
    for (std::size_t i = 0; i < left->items.size() && i < right->items.size(); ++i) {
      if (!equal(left->items[i], right->items[i])) {
        return less(left->items[i], right->items[i]);
      }
    }
    return left->items.size() < right->items.size();
  }
  for (const Value* value : {&a, &b}) {
    if (const auto* missing = value->get<Undefined>()) {
      throw TemplateError(missing->why ? *missing->why : "an undefined value is compared");
    }
  }
  throw TemplateError("'<' not supported between instances of '" + type_name(a) + "' and '" + type_name(b) + "'");
}

bool contains(const Value& container, const Value& item) {
  if (const std::string* text = container.text()) {
    if (item.text() == nullptr) {
      throw TemplateError("'in <string>' requires string as left operand, not " + type_name(item));
    }
    return text->find(*item.text()) != std::string::npos;
  }
  if (const List* list = container.list()) {
    return std::any_of(list->items.begin(), list->items.end(), [&](const Value& each) { return equal(each, item); });
  }
  if (const Dict* dict = container.dict()) {
    return find(*dict, item) != nullptr;
  }
  if (container.is_undefined()) {
    return false;
  }
  throw TemplateError("argument of type '" + type_name(container) + "' is not iterable");
}

const Value* find(const Dict& dict, const Value& key) {
  const auto found = std::find_if(dict.items.begin(), dict.items.end(), [&](const auto& item) { return equal(item.first, key); });
  return found == dict.items.end() ? nullptr : &found->second;
}

std::string to_text(const Value& value) {
  if (const std::string* text = value.text()) {
    return *text;
  }
  return value.is_undefined() ? "" : to_repr(value);
}

std::string to_repr(const Value& value) {
  if (const std::string* text = value.text()) {
    return quoted_text(*text);
  }
  if (value.is_undefined()) {
    return "Undefined";
  }
  if (value.is_none()) {
    return "None";
  }
  if (const bool* flag = value.get<bool>()) {
    return *flag ? "True" : "False";
  }
  if (const auto* whole = value.get<std::int64_t>()) {
    return std::to_string(*whole);
  }
  if (const auto* real = value.get<double>()) {
    return float_text(*real);
  }
  if (const List* list = value.list()) {
    return list_repr(*list);
  }
  if (const Dict* dict = value.dict()) {
    return dict_repr(*dict);
  }
  throw TemplateError("a " + type_name(value) + " is printed");
}

}  // namespace lora_dist::jinja
