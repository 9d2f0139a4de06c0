// Filters on single values (jinja2/filters.py).
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include <optional>

#include "src/chat_template/interpreter.h"
#include "src/chat_template/python_text.h"

namespace lora_dist::jinja {
namespace {

bool flag(const Value* value, bool otherwise = false) { return value == nullptr ? otherwise : is_true(*value); }

std::string text_or(Interpreter& in, const Value* value, const char* otherwise) {
  return value == nullptr ? otherwise : in.text_of(*value);
}

Value default_filter(Interpreter& /*in*/, const Value& input, const CallArguments& arguments) {
  const auto bound = bind(arguments, {"default_value", "boolean"}, "default");
  const bool missing = input.is_undefined() || (flag(bound[1]) && !is_true(input));
  return !missing ? input : bound[0] != nullptr ? *bound[0] : Value("");
}

Value string_filter(Interpreter& in, const Value& input, const CallArguments& arguments) {
  bind(arguments, {}, "string");
  return in.text_of(input);
}

template <std::string (*change)(std::string_view)>
Value case_filter(Interpreter& in, const Value& input, const CallArguments& arguments) {
  bind(arguments, {}, "a filter of letters");
  return change(in.text_of(input));
}

/// A word begins after white space, a hyphen or an opening bracket.
std::string title_of_words(std::string_view text) {
  std::string out;
  std::string word;
  const auto end_word = [&] {
    out += capitalize(word);
    word.clear();
  };
  for (const std::string_view character : characters_of(text)) {
    const char32_t c = code_point(character);
    const bool border =
        is_space(c) || (c < 128 && std::string_view("-({[<").find(static_cast<char>(c)) != std::string_view::npos);
    if (border) {
      end_word();
      out += character;
    } else {
      word += character;
    }
  }
  end_word();
  return out;
}

Value trim_filter(Interpreter& in, const Value& input, const CallArguments& arguments) {
  const Value* chars = bind(arguments, {"chars"}, "trim")[0];
  const std::string text = in.text_of(input);
  return strip(text, chars == nullptr || chars->is_none() ? std::nullopt : std::optional(in.text_of(*chars)), true, true);
}

Value replace_filter(Interpreter& in, const Value& input, const CallArguments& arguments) {
  const auto bound = bind(arguments, {"old", "new", "count"}, "replace");
  if (bound[0] == nullptr || bound[1] == nullptr) {
    throw TemplateError("replace needs what to replace and by what");
  }
  const std::string text = in.text_of(input);
  const std::string from = in.text_of(*bound[0]);
  const std::string to = in.text_of(*bound[1]);
  in.charge(text.size() + count(text, from) * to.size());
  const bool all = bound[2] == nullptr || bound[2]->is_none();
  return replace(text, from, to, all ? -1 : whole_number(*bound[2], "replace"));
}

std::optional<double> parsed_float(std::string_view text) {
  text = strip(text, std::nullopt, true, true);
  text.remove_prefix(text.starts_with('+') ? 1 : 0);
  double value = 0.0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), value);
  return end.ec == std::errc{} && end.ptr == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

std::optional<std::int64_t> parsed_int(std::string_view text, int base) {
  text = strip(text, std::nullopt, true, true);
  const bool negative = text.starts_with('-');
  text.remove_prefix(negative || text.starts_with('+') ? 1 : 0);
  const char letter = text.size() > 1 && text[0] == '0' ? static_cast<char>(text[1] | 32) : ' ';
  text.remove_prefix((base == 16 && letter == 'x') || (base == 8 && letter == 'o') || (base == 2 && letter == 'b') ? 2 : 0);
  std::int64_t value = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (text.empty() || text[0] == '-' || end.ec != std::errc{} || end.ptr != text.data() + text.size()) {
    return std::nullopt;
  }
  return negative ? -value : value;
}

std::optional<Value> truncated(double value) {
  if (!(std::fabs(value) < 9.2e18)) {
    return std::nullopt;
  }
  return static_cast<std::int64_t>(value);
}

Value int_filter(Interpreter& in, const Value& input, const CallArguments& arguments) {
  const auto bound = bind(arguments, {"default", "base"}, "int");
  const Value otherwise = bound[0] != nullptr ? *bound[0] : Value(0);
  const std::int64_t base = bound[1] == nullptr ? 10 : whole_number(*bound[1], "int");
  if (base < 2 || base > 36) {
    throw TemplateError("int takes a base from 2 to 36");
  }
  if (is_number(input)) {
    return input.get<double>() != nullptr ? truncated(as_double(input)).value_or(otherwise) : Value(whole_number(input, "int"));
  }
  require_defined(input);
  if (input.text() == nullptr) {
    return otherwise;
  }
  in.charge(input.text()->size());
  if (const auto whole = parsed_int(*input.text(), static_cast<int>(base))) {
    return *whole;
  }
  const auto real = parsed_float(*input.text());
  return real ? truncated(*real).value_or(otherwise) : otherwise;
}

Value float_filter(Interpreter& in, const Value& input, const CallArguments& arguments) {
  const auto bound = bind(arguments, {"default"}, "float");
  const Value otherwise = bound[0] != nullptr ? *bound[0] : Value(0.0);
  if (is_number(input)) {
    return as_double(input);
  }
  require_defined(input);
  if (input.text() == nullptr) {
    return otherwise;
  }
  in.charge(input.text()->size());
  const auto real = parsed_float(*input.text());
  return real ? Value(*real) : otherwise;
}

Value abs_filter(Interpreter& in, const Value& input, const CallArguments& arguments) {
  bind(arguments, {}, "abs");
  require_defined(input);
  if (!is_number(input)) {
    throw TemplateError("bad operand type for abs(): '" + type_name(input) + "'");
  }
  return as_double(input) < 0 ? in.arithmetic("-", 0, input) : in.arithmetic("+", 0, input);
}

Value round_filter(Interpreter& /*in*/, const Value& input, const CallArguments& arguments) {
  const auto bound = bind(arguments, {"precision", "method"}, "round");
  const std::int64_t precision = bound[0] == nullptr ? 0 : whole_number(*bound[0], "round");
  const std::string method = bound[1] == nullptr ? "common" : bound[1]->text() != nullptr ? *bound[1]->text() : "";
  require_defined(input);
  if (!is_number(input) || precision < 0 || precision > 20 || (method != "common" && method != "ceil" && method != "floor")) {
    throw TemplateError("round takes a number, a precision from 0 to 20 and common, ceil or floor");
  }
  const double value = as_double(input);
  if (method == "common") {
    if (input.get<double>() == nullptr) {
      return input;  // integers are unchanged
    }
    std::array<char, 512> digits{};
    const int n = std::snprintf(digits.data(), digits.size(), "%.*f", static_cast<int>(precision), value);
    return parsed_float(std::string_view(digits.data(), static_cast<std::size_t>(n))).value_or(value);
  }
  const double scale = std::pow(10.0, static_cast<double>(precision));
  return (method == "ceil" ? std::ceil(value * scale) : std::floor(value * scale)) / scale;
}

Value tojson_filter(Interpreter& in, const Value& input, const CallArguments& arguments) {
  const auto bound = bind(arguments, {"ensure_ascii", "indent", "separators", "sort_keys"}, "tojson");
  std::optional<std::string> indent;
  if (bound[1] != nullptr && bound[1]->text() != nullptr) {
    indent = *bound[1]->text();
  } else if (bound[1] != nullptr && !bound[1]->is_none()) {
    const std::int64_t width = whole_number(*bound[1], "indent");
    indent = std::string(static_cast<std::size_t>(std::clamp<std::int64_t>(width, 0, 100)), ' ');
  }
  std::string between = indent ? "," : ", ";
  std::string after_key = ": ";
  if (bound[2] != nullptr && !bound[2]->is_none()) {
    const std::vector<Value> both = in.elements(*bound[2]);
    if (both.size() != 2 || both[0].text() == nullptr || both[1].text() == nullptr) {
      throw TemplateError("tojson takes two separators");
    }
    between = *both[0].text();
    after_key = *both[1].text();
  }
  const std::size_t factor = 6 + between.size() + after_key.size() + (indent ? indent->size() * kMaxNesting : 0);
  in.charge(weight_of(input));
  if (weight_of(input) * factor > in.limits.work) {  // bounds the output's size
    in.charge(in.limits.work + 1);
  }
  require_defined(input.is_undefined() ? undefined("Object of type Undefined is not JSON serializable") : input);
  std::string out = json_text(input, flag(bound[0]), indent ? &*indent : nullptr, between, after_key, flag(bound[3]));
  in.charge(out.size());
  return out;
}

Value indent_filter(Interpreter& in, const Value& input, const CallArguments& arguments) {
  const auto bound = bind(arguments, {"width", "first", "blank"}, "indent");
  std::string indention = "    ";
  if (bound[0] != nullptr && bound[0]->text() != nullptr) {
    indention = *bound[0]->text();
  } else if (bound[0] != nullptr) {
    const std::int64_t width = std::max<std::int64_t>(whole_number(*bound[0], "indent"), 0);
    in.charge(static_cast<std::size_t>(width));
    indention = std::string(static_cast<std::size_t>(width), ' ');
  }
  const std::string text = in.text_of(input) + "\n";
  const std::vector<std::string_view> lines = split_lines(text, false);
  in.charge(text.size() + lines.size() * indention.size());
  std::string out = flag(bound[1]) ? indention : "";
  for (std::size_t i = 0; i < lines.size(); ++i) {
    out += (i == 0 ? "" : "\n") + std::string(i > 0 && (flag(bound[2]) || !lines[i].empty()) ? indention : "");
    out += lines[i];
  }
  return out;
}

Value escape_filter(Interpreter& in, const Value& input, const CallArguments& arguments) {
  bind(arguments, {}, "escape");
  std::string out;
  for (const char c : in.text_of(input)) {
    const std::string_view mark = c == '&'    ? "&amp;"
                                  : c == '<'  ? "&lt;"
                                  : c == '>'  ? "&gt;"
                                  : c == '\'' ? "&#39;"
                                  : c == '"'  ? "&#34;"
                                              : "";
    out += mark.empty() ? std::string(1, c) : std::string(mark);
  }
  in.charge(out.size());
  return out;
}

/// Supports %s, %d and %%.
Value format_filter(Interpreter& in, const Value& input, const CallArguments& arguments) {
  const std::string format = in.text_of(input);
  std::string out;
  std::size_t next = 0;
  for (std::size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') {
      out += format[i];
      continue;
    }
    const char kind = i + 1 < format.size() ? format[++i] : ' ';
    if (kind == '%') {
      out += '%';
      continue;
    }
    if (kind != 's' && kind != 'd' && kind != 'r') {
      throw TemplateError("a chat template formats with %s, %d and %r only");
    }
    if (next >= arguments.positional.size()) {
      throw TemplateError("not enough arguments for format string");
    }
    const Value& value = arguments.positional[next++];
    in.charge(weight_of(value));
    out += kind == 's' ? to_text(value) : kind == 'r' ? to_repr(value) : std::to_string(whole_number(value, "%d"));
    in.charge(out.size() / 16);
  }
  if (next < arguments.positional.size()) {
    throw TemplateError("not all arguments converted during string formatting");
  }
  return out;
}

Value safe_filter(Interpreter& in, const Value& input, const CallArguments& arguments) {
  bind(arguments, {}, "safe");
  return in.text_of(input);
}

Value wordcount_filter(Interpreter& in, const Value& input, const CallArguments& arguments) {
  bind(arguments, {}, "wordcount");
  const std::string text = in.text_of(input);
  in.charge(16 * text.size());
  return static_cast<std::int64_t>(split(text, std::nullopt, -1, false).size());
}

Value attr_filter(Interpreter& in, const Value& input, const CallArguments& arguments) {
  const Value* name = bind(arguments, {"name"}, "attr")[0];
  const std::string text = text_or(in, name, "");
  require_defined(input);
  return input.dict() != nullptr ? undefined("'dict object' has no attribute '" + text + "'") : in.attribute(input, text);
}

}  // namespace

FilterFunction text_filter(std::string_view name) {
  constexpr std::pair<std::string_view, FilterFunction> kFilters[] = {{"default", default_filter},
                                                                      {"d", default_filter},
                                                                      {"string", string_filter},
                                                                      {"upper", case_filter<upper>},
                                                                      {"lower", case_filter<lower>},
                                                                      {"capitalize", case_filter<capitalize>},
                                                                      {"title", case_filter<title_of_words>},
                                                                      {"trim", trim_filter},
                                                                      {"replace", replace_filter},
                                                                      {"int", int_filter},
                                                                      {"float", float_filter},
                                                                      {"abs", abs_filter},
                                                                      {"round", round_filter},
                                                                      {"tojson", tojson_filter},
                                                                      {"indent", indent_filter},
                                                                      {"escape", escape_filter},
                                                                      {"e", escape_filter},
                                                                      {"safe", safe_filter},
                                                                      {"format", format_filter},
                                                                      {"wordcount", wordcount_filter},
                                                                      {"attr", attr_filter}};
  for (const auto& [known, function] : kFilters) {
    if (known == name) {
      return function;
    }
  }
  return nullptr;
}

}  // namespace lora_dist::jinja
