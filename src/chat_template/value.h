// Values of a chat template, a subset of Python's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace lora_dist::jinja {

/// An error of parsing or rendering a template. `line` is the template's (from 1); 0: not known yet.
class TemplateError : public std::runtime_error {
 public:
  explicit TemplateError(const std::string& what, int line = 0) : std::runtime_error(what), line_(line) {}
  int line() const { return line_; }

 private:
  int line_;
};

/// An error raised by the template (raise_exception): the conversation is invalid.
class RaisedByTemplate : public TemplateError {
 public:
  using TemplateError::TemplateError;
};

struct Value;
struct Callable;
struct Namespace;

struct Undefined {
  std::shared_ptr<const std::string> why;  // the error message of operations on it
};
struct None {};

enum class Sequence : std::uint8_t { list, tuple, range, generator };  // a generator has no length and is always true

struct List {
  Sequence kind = Sequence::list;
  std::vector<Value> items;
  int depth = 1;           // of nested containers
  std::size_t weight = 1;  // see weight_of
};

/// In insertion order, like Python's.
struct Dict {
  std::vector<std::pair<Value, Value>> items;
  int depth = 1;
  std::size_t weight = 1;
};

using Text = std::shared_ptr<const std::string>;

/// Copies are cheap: large values are shared and immutable.
struct Value {
  std::variant<Undefined, None, bool, std::int64_t, double, Text, std::shared_ptr<const List>, std::shared_ptr<const Dict>,
               Namespace*, std::shared_ptr<const Callable>>
      data;

  Value() = default;
  Value(None none) : data(none) {}
  Value(bool value) : data(value) {}
  Value(int value) : data(std::int64_t{value}) {}
  Value(std::int64_t value) : data(value) {}
  Value(double value) : data(value) {}
  Value(std::string text) : data(std::make_shared<const std::string>(std::move(text))) {}
  Value(std::string_view text) : Value(std::string(text)) {}
  Value(const char* text) : Value(std::string(text)) {}
  Value(Namespace* names) : data(names) {}
  Value(std::shared_ptr<const Callable> callable) : data(std::move(callable)) {}

  template <class T>
  const T* get() const {
    return std::get_if<T>(&data);
  }
  bool is_undefined() const { return std::holds_alternative<Undefined>(data); }
  bool is_none() const { return std::holds_alternative<None>(data); }
  const std::string* text() const {
    const auto* found = std::get_if<Text>(&data);
    return found == nullptr ? nullptr : found->get();
  }
  const List* list() const {
    const auto* found = std::get_if<std::shared_ptr<const List>>(&data);
    return found == nullptr ? nullptr : found->get();
  }
  const Dict* dict() const {
    const auto* found = std::get_if<std::shared_ptr<const Dict>>(&data);
    return found == nullptr ? nullptr : found->get();
  }
};

/// namespace(...): the only mutable value.
struct Namespace {
  std::vector<std::pair<std::string, Value>> names;
};

/// The maximum nesting of lists and dicts, and the maximum weight of a value.
inline constexpr int kMaxNesting = 100;
inline constexpr std::size_t kMaxWeight = std::size_t{1} << 26;

/// The cost of printing or comparing a value: its bytes and elements, counting shared parts repeatedly.
std::size_t weight_of(const Value& value);

Value undefined(std::string why);
/// Throw TemplateError beyond kMaxNesting or kMaxWeight.
Value make_list(std::vector<Value> items, Sequence kind = Sequence::list);
Value make_dict(std::vector<std::pair<Value, Value>> items);

Value value_of_json(const nlohmann::ordered_json& json);

/// Python's truthiness.
bool is_true(const Value& value);
/// "str", "list", ... as Python's type(x).__name__.
std::string type_name(const Value& value);
/// True for int, float and bool, which Python compares as numbers.
bool is_number(const Value& value);
double as_double(const Value& number);

bool equal(const Value& a, const Value& b);
/// a < b. Throws TemplateError for types that Python does not order.
bool less(const Value& a, const Value& b);
/// `item in container`.
bool contains(const Value& container, const Value& item);
/// The dict's value, or null.
const Value* find(const Dict& dict, const Value& key);

/// str(x) and repr(x). Throws TemplateError if the result depends on Python's internals (a function, a generator).
std::string to_text(const Value& value);
std::string to_repr(const Value& value);

}  // namespace lora_dist::jinja
