// Tests: the operators after `is`.
#include <cmath>

#include <optional>

#include "src/chat_template/interpreter.h"
#include "src/chat_template/python_text.h"

namespace lora_dist::jinja {
namespace {

bool is_whole(const Value& value) { return value.get<std::int64_t>() != nullptr; }
bool is_flag(const Value& value) { return value.get<bool>() != nullptr; }
bool is_function(const Value& value) { return value.get<std::shared_ptr<const Callable>>() != nullptr; }

bool is_sequence(const Value& value) {
  return value.text() != nullptr || value.dict() != nullptr || value.is_undefined() ||
         (value.list() != nullptr && value.list()->kind != Sequence::generator);
}

bool is_iterable(const Value& value) {
  const auto* callable = value.get<std::shared_ptr<const Callable>>();
  return value.text() != nullptr || value.dict() != nullptr || value.list() != nullptr || value.is_undefined() ||
         (callable != nullptr && (*callable)->kind == CallableKind::loop);
}

/// Identity, like Python's `is`: singletons and shared objects.
bool same(const Value& a, const Value& b) {
  if (a.data.index() != b.data.index()) {
    return false;
  }
  if (a.list() != nullptr || a.dict() != nullptr) {
    return a.list() == b.list() && a.dict() == b.dict();
  }
  return equal(a, b);
}

/// Tests without arguments; nullopt for other names.
std::optional<bool> plain_test(Interpreter& in, const std::string& name, const Value& value) {
  if (name == "defined" || name == "undefined") {
    return value.is_undefined() == (name == "undefined");
  }
  if (name == "none") {
    return value.is_none();
  }
  if (name == "string") {
    return value.text() != nullptr;
  }
  if (name == "mapping") {
    return value.dict() != nullptr;
  }
  if (name == "sequence") {
    return is_sequence(value);
  }
  if (name == "iterable") {
    return is_iterable(value);
  }
  if (name == "number") {
    return is_number(value);
  }
  if (name == "integer" || name == "float" || name == "boolean") {
    return name == "integer" ? is_whole(value) : name == "float" ? value.get<double>() != nullptr : is_flag(value);
  }
  if (name == "true" || name == "false") {
    return is_flag(value) && *value.get<bool>() == (name == "true");
  }
  if (name == "callable") {
    return is_function(value) || value.is_undefined();
  }
  if (name == "lower" || name == "upper") {
    return all_of_case(in.text_of(value), name == "upper");
  }
  if (name == "odd" || name == "even") {
    return equal(in.arithmetic("%", value, 2), name == "odd" ? 1 : 0);
  }
  if (name == "escaped") {
    return false;
  }
  return std::nullopt;
}

std::string comparison_of(const std::string& name) {
  constexpr std::pair<std::string_view, std::string_view> kNames[] = {
      {"==", "=="}, {"eq", "=="}, {"equalto", "=="},    {"!=", "!="}, {"ne", "!="}, {"<", "<"},   {"lt", "<"},  {"lessthan", "<"},
      {">", ">"},   {"gt", ">"},  {"greaterthan", ">"}, {"<=", "<="}, {"le", "<="}, {">=", ">="}, {"ge", ">="}, {"in", "in"}};
  for (const auto& [known, op] : kNames) {
    if (known == name) {
      return std::string(op);
    }
  }
  return "";
}

}  // namespace

bool Interpreter::test(const std::string& name, const Value& input, const CallArguments& arguments) {
  charge(1);
  const std::string what = "the test " + name.substr(0, 40);
  const std::string comparison = comparison_of(name);
  if (!comparison.empty() || name == "divisibleby" || name == "sameas") {
    const Value* other = bind(arguments, {"other"}, what)[0];
    if (other == nullptr) {
      throw TemplateError(what + " needs an argument");
    }
    if (name == "sameas") {
      return same(input, *other);
    }
    return comparison.empty() ? equal(arithmetic("%", input, *other), 0) : compare(comparison, input, *other);
  }
  if (const std::optional<bool> answer = plain_test(*this, name, input)) {
    bind(arguments, {}, what);
    return *answer;
  }
  throw TemplateError("No test named '" + name.substr(0, 40) + "'.");
}

}  // namespace lora_dist::jinja
