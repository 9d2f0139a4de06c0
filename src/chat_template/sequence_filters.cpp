// Filters on lists, dicts and texts as sequences (jinja2/filters.py).
#include <algorithm>

#include "src/chat_template/interpreter.h"
#include "src/chat_template/python_text.h"

namespace lora_dist::jinja {
namespace {

Value generator(std::vector<Value> items) { return make_list(std::move(items), Sequence::generator); }

Value length_filter(Interpreter& in, const Value& input, const CallArguments& arguments) {
  bind(arguments, {}, "length");
  if (const std::string* text = input.text()) {
    in.charge(text->size());
    return length_of(*text);
  }
  if (const List* list = input.list(); list != nullptr && list->kind != Sequence::generator) {
    return static_cast<std::int64_t>(list->items.size());
  }
  if (input.dict() != nullptr) {
    return static_cast<std::int64_t>(input.dict()->items.size());
  }
  if (input.is_undefined()) {
    return 0;
  }
  throw TemplateError("object of type '" + type_name(input) + "' has no len()");
}

Value list_filter(Interpreter& in, const Value& input, const CallArguments& arguments) {
  bind(arguments, {}, "list");
  return make_list(in.elements(input));
}

Value first_filter(Interpreter& in, const Value& input, const CallArguments& arguments) {
  bind(arguments, {}, "first");
  const std::vector<Value> items = in.elements(input);
  return items.empty() ? undefined("No first item, sequence was empty.") : items.front();
}

Value last_filter(Interpreter& in, const Value& input, const CallArguments& arguments) {
  bind(arguments, {}, "last");
  const std::vector<Value> items = in.elements(input);
  return items.empty() ? undefined("No last item, sequence was empty.") : items.back();
}

/// "a.b.0" of an item, like make_attrgetter.
Value attribute_path(Interpreter& in, Value item, const Value& path) {
  if (path.text() == nullptr) {
    return in.item(item, path);
  }
  for (const std::string_view part : split(*path.text(), ".", -1, false)) {
    const bool number = !part.empty() && part.size() < 10 && all_digits(part);
    item = in.item(item, number ? Value(std::int64_t{std::stoll(std::string(part))}) : Value(part));
  }
  return item;
}

Value join_filter(Interpreter& in, const Value& input, const CallArguments& arguments) {
  const auto bound = bind(arguments, {"d", "attribute"}, "join");
  const std::string separator = bound[0] == nullptr ? "" : in.text_of(*bound[0]);
  std::string out;
  bool first = true;
  for (const Value& item : in.elements(input)) {
    const bool whole = bound[1] == nullptr || bound[1]->is_none();
    const std::string text = in.text_of(whole ? item : attribute_path(in, item, *bound[1]));
    in.charge(separator.size());
    out += (first ? "" : separator) + text;
    first = false;
  }
  return out;
}

Value reverse_filter(Interpreter& in, const Value& input, const CallArguments& arguments) {
  bind(arguments, {}, "reverse");
  std::vector<Value> items = in.elements(input);
  std::reverse(items.begin(), items.end());
  if (input.text() == nullptr) {
    return generator(std::move(items));
  }
  std::string out;
  for (const Value& item : items) {
    out += *item.text();
  }
  return out;
}

Value items_filter(Interpreter& in, const Value& input, const CallArguments& arguments) {
  bind(arguments, {}, "items");
  if (input.is_undefined()) {
    return generator({});
  }
  if (input.dict() == nullptr) {
    throw TemplateError("Can only get item pairs from a mapping.");
  }
  return generator(in.elements(in.call_method(input, "items", {})));
}

Value without_case(const Value& value) { return value.text() != nullptr ? Value(lower(*value.text())) : value; }

/// Stable sort by key(item); `reverse` keeps the order of equals, like Python's sorted.
template <class Key>
std::vector<Value> sorted(Interpreter& in, const std::vector<Value>& items, bool reverse, Key key) {
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value& item : items) {
    keyed.emplace_back(key(item), item);
    in.charge(32 * weight_of(keyed.back().first));
  }
  // Merge sort: std::stable_sort has undefined behaviour for unordered keys (NaN).
  for (std::size_t width = 1; width < keyed.size(); width *= 2) {
    for (std::size_t begin = 0; begin + width < keyed.size(); begin += 2 * width) {
      const auto from = keyed.begin() + static_cast<std::ptrdiff_t>(begin);
      const auto middle = from + static_cast<std::ptrdiff_t>(width);
      const auto end = from + static_cast<std::ptrdiff_t>(std::min(2 * width, keyed.size() - begin));
      std::vector<std::pair<Value, Value>> merged;
      auto left = from;
      auto right = middle;
      while (left != middle && right != end) {
        const bool take_right = reverse ? less(left->first, right->first) : less(right->first, left->first);
        merged.push_back(take_right ? *right++ : *left++);
      }
      merged.insert(merged.end(), left, middle);
      merged.insert(merged.end(), right, end);
      std::move(merged.begin(), merged.end(), from);
    }
  }
  std::vector<Value> out;
  for (auto& [unused, item] : keyed) {
    out.push_back(std::move(item));
  }
  return out;
}

Value sort_filter(Interpreter& in, const Value& input, const CallArguments& arguments) {
  const auto bound = bind(arguments, {"reverse", "case_sensitive", "attribute"}, "sort");
  const bool exact = bound[1] != nullptr && is_true(*bound[1]);
  const bool whole = bound[2] == nullptr || bound[2]->is_none();
  const auto one_key = [&](const Value& item, const Value& path) {
    const Value value = attribute_path(in, item, path);
    return exact ? value : without_case(value);
  };
  const auto key = [&](const Value& item) -> Value {
    if (whole) {
      return exact ? item : without_case(item);
    }
    if (bound[2]->text() == nullptr) {
      return make_list({one_key(item, *bound[2])});
    }
    std::vector<Value> keys;
    for (const std::string_view path : split(*bound[2]->text(), ",", -1, false)) {
      keys.push_back(one_key(item, path));
    }
    return make_list(std::move(keys));
  };
  return make_list(sorted(in, in.elements(input), bound[0] != nullptr && is_true(*bound[0]), key));
}

Value dictsort_filter(Interpreter& in, const Value& input, const CallArguments& arguments) {
  const auto bound = bind(arguments, {"case_sensitive", "by", "reverse"}, "dictsort");
  const std::string by = bound[1] == nullptr ? "key" : in.text_of(*bound[1]);
  if (by != "key" && by != "value") {
    throw TemplateError("You can only sort by either \"key\" or \"value\"");
  }
  require_defined(input);
  if (input.dict() == nullptr) {
    throw TemplateError("'" + type_name(input) + "' object has no attribute 'items'");
  }
  const bool exact = bound[0] != nullptr && is_true(*bound[0]);
  const auto key = [&](const Value& pair) {
    const Value& value = pair.list()->items[by == "key" ? 0 : 1];
    return exact ? value : without_case(value);
  };
  const std::vector<Value> pairs = in.elements(in.call_method(input, "items", {}));
  return make_list(sorted(in, pairs, bound[2] != nullptr && is_true(*bound[2]), key));
}

Value unique_filter(Interpreter& in, const Value& input, const CallArguments& arguments) {
  const auto bound = bind(arguments, {"case_sensitive", "attribute"}, "unique");
  const bool exact = bound[0] != nullptr && is_true(*bound[0]);
  std::vector<Value> seen;
  std::vector<Value> out;
  for (const Value& item : in.elements(input)) {
    const Value picked = bound[1] == nullptr || bound[1]->is_none() ? item : attribute_path(in, item, *bound[1]);
    Value key = exact ? picked : without_case(picked);
    in.charge(seen.size() + weight_of(key));
    if (std::none_of(seen.begin(), seen.end(), [&](const Value& each) { return equal(each, key); })) {
      seen.push_back(std::move(key));
      out.push_back(item);
    }
  }
  return generator(std::move(out));
}

Value sum_filter(Interpreter& in, const Value& input, const CallArguments& arguments) {
  const auto bound = bind(arguments, {"attribute", "start"}, "sum");
  Value total = bound[1] == nullptr ? Value(0) : *bound[1];
  for (const Value& item : in.elements(input)) {
    total = in.arithmetic("+", total, bound[0] == nullptr || bound[0]->is_none() ? item : attribute_path(in, item, *bound[0]));
  }
  return total;
}

template <bool largest>
Value extreme_filter(Interpreter& in, const Value& input, const CallArguments& arguments) {
  const auto bound = bind(arguments, {"case_sensitive", "attribute"}, largest ? "max" : "min");
  const bool exact = bound[0] != nullptr && is_true(*bound[0]);
  const auto key = [&](const Value& item) {
    const Value value = bound[1] == nullptr || bound[1]->is_none() ? item : attribute_path(in, item, *bound[1]);
    return exact ? value : without_case(value);
  };
  Value best = undefined("No aggregated item, sequence was empty.");
  for (const Value& item : in.elements(input)) {
    in.charge(weight_of(item));
    if (best.is_undefined() || (largest ? less(key(best), key(item)) : less(key(item), key(best)))) {
      best = item;
    }
  }
  return best;
}

/// map("filter", ...), map(attribute="x", default=...).
Value map_filter(Interpreter& in, const Value& input, const CallArguments& arguments) {
  const auto keyword = [&](std::string_view name) -> const Value* {
    const auto found =
        std::find_if(arguments.keywords.begin(), arguments.keywords.end(), [&](const auto& each) { return each.first == name; });
    return found == arguments.keywords.end() ? nullptr : &found->second;
  };
  std::vector<Value> out;
  const Value* path = keyword("attribute");
  if (arguments.positional.empty() && path != nullptr) {
    const Value* otherwise = keyword("default");
    for (const Value& item : in.elements(input)) {
      const Value value = attribute_path(in, item, *path);
      out.push_back(value.is_undefined() && otherwise != nullptr ? *otherwise : value);
    }
    return generator(std::move(out));
  }
  if (arguments.positional.empty() || arguments.positional[0].text() == nullptr) {
    throw TemplateError("map requires a filter argument");
  }
  CallArguments rest = arguments;
  rest.positional.erase(rest.positional.begin());
  for (const Value& item : in.elements(input)) {
    out.push_back(in.filter(*arguments.positional[0].text(), item, rest));
  }
  return generator(std::move(out));
}

/// select, reject, selectattr and rejectattr.
template <bool keep, bool by_attribute>
Value choose_filter(Interpreter& in, const Value& input, const CallArguments& arguments) {
  CallArguments rest = arguments;
  Value path;
  if (by_attribute) {
    if (rest.positional.empty()) {
      throw TemplateError("Missing parameter for attribute name");
    }
    path = rest.positional.front();
    rest.positional.erase(rest.positional.begin());
  }
  std::string test;
  if (!rest.positional.empty()) {
    test = in.text_of(rest.positional.front());
    rest.positional.erase(rest.positional.begin());
  }
  std::vector<Value> out;
  for (const Value& item : in.elements(input)) {
    const Value value = by_attribute ? attribute_path(in, item, path) : item;
    if ((test.empty() ? is_true(value) : in.test(test, value, rest)) == keep) {
      out.push_back(item);
    }
  }
  return generator(std::move(out));
}

Value batch_filter(Interpreter& in, const Value& input, const CallArguments& arguments) {
  const auto bound = bind(arguments, {"linecount", "fill_with"}, "batch");
  const std::int64_t size = bound[0] == nullptr ? 0 : whole_number(*bound[0], "batch");
  if (size < 1) {
    throw TemplateError("batch needs a size of at least 1");
  }
  std::vector<Value> out;
  std::vector<Value> row;
  for (const Value& item : in.elements(input)) {
    if (static_cast<std::int64_t>(row.size()) == size) {
      out.push_back(make_list(std::exchange(row, {})));
    }
    row.push_back(item);
  }
  if (!row.empty()) {
    if (bound[1] != nullptr && !bound[1]->is_none()) {
      in.charge(static_cast<std::size_t>(size));
      row.resize(static_cast<std::size_t>(size), *bound[1]);
    }
    out.push_back(make_list(std::move(row)));
  }
  return generator(std::move(out));
}

}  // namespace

FilterFunction sequence_filter(std::string_view name) {
  constexpr std::pair<std::string_view, FilterFunction> kFilters[] = {{"length", length_filter},
                                                                      {"count", length_filter},
                                                                      {"list", list_filter},
                                                                      {"first", first_filter},
                                                                      {"last", last_filter},
                                                                      {"join", join_filter},
                                                                      {"reverse", reverse_filter},
                                                                      {"items", items_filter},
                                                                      {"sort", sort_filter},
                                                                      {"dictsort", dictsort_filter},
                                                                      {"unique", unique_filter},
                                                                      {"sum", sum_filter},
                                                                      {"min", extreme_filter<false>},
                                                                      {"max", extreme_filter<true>},
                                                                      {"map", map_filter},
                                                                      {"select", choose_filter<true, false>},
                                                                      {"reject", choose_filter<false, false>},
                                                                      {"selectattr", choose_filter<true, true>},
                                                                      {"rejectattr", choose_filter<false, true>},
                                                                      {"batch", batch_filter}};
  for (const auto& [known, function] : kFilters) {
    if (known == name) {
      return function;
    }
  }
  return nullptr;
}

Value Interpreter::filter(const std::string& name, const Value& input, const CallArguments& arguments) {
  charge(1);
  if (depth >= limits.depth) {
    throw TemplateError("the template calls itself too deeply");
  }
  FilterFunction function = text_filter(name);
  function = function != nullptr ? function : sequence_filter(name);
  if (function == nullptr) {
    throw TemplateError("No filter named '" + name.substr(0, 40) + "'.");
  }
  ++depth;  // bounds recursion of map(map, ...); not reset on errors, which end the rendering
  Value out = function(*this, input, arguments);
  --depth;
  return out;
}

}  // namespace lora_dist::jinja
