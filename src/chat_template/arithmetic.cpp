// + - * / // % ** and comparisons, as Python does them on whole numbers of 64 bits.
#include <cmath>

#include "src/chat_template/interpreter.h"

namespace lora_dist::jinja {
namespace {

[[noreturn]] void too_large() { throw TemplateError("a number is larger than 64 bits"); }

[[noreturn]] void unsupported(const std::string& op, const Value& left, const Value& right) {
  throw TemplateError("unsupported operand type(s) for " + op + ": '" + type_name(left) + "' and '" + type_name(right) + "'");
}

std::int64_t power(std::int64_t base, std::int64_t exponent) {
  std::int64_t out = 1;
  if (base == 0 || base == 1 || base == -1) {
    return exponent == 0 ? 1 : base == -1 && exponent % 2 == 0 ? 1 : base;
  }
  for (; exponent > 0; --exponent) {
    if (__builtin_mul_overflow(out, base, &out)) {
      too_large();
    }
  }
  return out;
}

std::int64_t floor_division(std::int64_t a, std::int64_t b) {
  if (b == -1) {
    std::int64_t out = 0;
    if (__builtin_sub_overflow(std::int64_t{0}, a, &out)) {
      too_large();
    }
    return out;
  }
  return a / b - (a % b != 0 && (a % b < 0) != (b < 0) ? 1 : 0);
}

Value whole(const std::string& op, std::int64_t a, std::int64_t b) {
  std::int64_t out = 0;
  if (op == "+"   ? __builtin_add_overflow(a, b, &out)
      : op == "-" ? __builtin_sub_overflow(a, b, &out)
                  : op == "*" && __builtin_mul_overflow(a, b, &out)) {
    too_large();
  }
  if (op == "+" || op == "-" || op == "*") {
    return out;
  }
  if (op == "**") {
    return b < 0 ? Value(std::pow(static_cast<double>(a), static_cast<double>(b))) : Value(power(a, b));
  }
  if (b == 0) {
    throw TemplateError(op == "/" ? "division by zero" : "integer division or modulo by zero");
  }
  if (op == "/") {
    return static_cast<double>(a) / static_cast<double>(b);
  }
  if (op == "//") {
    return floor_division(a, b);
  }
  return b == -1 ? std::int64_t{0} : a - floor_division(a, b) * b;
}

Value real(const std::string& op, double a, double b) {
  if (op == "+") {
    return a + b;
  }
  if (op == "-") {
    return a - b;
  }
  if (op == "*") {
    return a * b;
  }
  if (op == "**") {
    return std::pow(a, b);
  }
  if (b == 0.0) {
    throw TemplateError(op == "/" ? "float division by zero" : "float floor division by zero");
  }
  if (op == "/") {
    return a / b;
  }
  const double rest = std::fmod(a, b);
  const double modulo = rest != 0.0 && (rest < 0.0) != (b < 0.0) ? rest + b : rest;
  return op == "%" ? modulo : std::round((a - modulo) / b);
}

Value joined(const Value& left, const Value& right) {
  std::vector<Value> items = left.list()->items;
  items.insert(items.end(), right.list()->items.begin(), right.list()->items.end());
  return make_list(std::move(items), left.list()->kind);
}

/// "ab" * 3, [1] * 3.
Value repeated(Interpreter& in, const Value& sequence, std::int64_t times) {
  const auto n = static_cast<std::size_t>(times > 0 ? times : 0);
  const std::size_t size = sequence.text() != nullptr ? sequence.text()->size() : 16 * sequence.list()->items.size();
  if (size > 0 && n > in.limits.work / size) {
    in.charge(in.limits.work + 1);
  }
  in.charge(size * n);
  if (const std::string* text = sequence.text()) {
    std::string out;
    for (std::size_t i = 0; size > 0 && i < n; ++i) {
      out += *text;
    }
    return out;
  }
  std::vector<Value> items;
  for (std::size_t i = 0; size > 0 && i < n; ++i) {
    items.insert(items.end(), sequence.list()->items.begin(), sequence.list()->items.end());
  }
  return make_list(std::move(items), sequence.list()->kind);
}

bool can_be_joined(const Value& value) {
  return value.text() != nullptr || (value.list() != nullptr && value.list()->kind <= Sequence::tuple);
}

bool is_integer_or_flag(const Value& value) { return value.get<std::int64_t>() != nullptr || value.get<bool>() != nullptr; }

}  // namespace

Value Interpreter::arithmetic(const std::string& op, const Value& left, const Value& right) {
  require_defined(left);
  require_defined(right);
  if (is_number(left) && is_number(right)) {
    return is_integer_or_flag(left) && is_integer_or_flag(right)
               ? whole(op, whole_number(left, "left"), whole_number(right, "right"))
               : real(op, as_double(left), as_double(right));
  }
  if (op == "+" && left.text() != nullptr) {
    if (right.text() == nullptr) {
      throw TemplateError("can only concatenate str (not \"" + type_name(right) + "\") to str");
    }
    charge(left.text()->size() + right.text()->size());
    return *left.text() + *right.text();
  }
  if (op == "+" && can_be_joined(left) && can_be_joined(right) && right.list() != nullptr &&
      left.list()->kind == right.list()->kind) {
    charge(16 * (left.list()->items.size() + right.list()->items.size()));
    return joined(left, right);
  }
  if (op == "*" && can_be_joined(left) && is_integer_or_flag(right)) {
    return repeated(*this, left, whole_number(right, "*"));
  }
  if (op == "*" && can_be_joined(right) && is_integer_or_flag(left)) {
    return repeated(*this, right, whole_number(left, "*"));
  }
  if (op == "%" && left.text() != nullptr) {
    CallArguments arguments;
    arguments.positional =
        right.list() != nullptr && right.list()->kind == Sequence::tuple ? right.list()->items : std::vector{right};
    return filter("format", left, arguments);
  }
  unsupported(op, left, right);
}

bool Interpreter::compare(const std::string& op, const Value& left, const Value& right) {
  charge(weight_of(left) + weight_of(right));
  if (op == "==" || op == "!=") {
    return equal(left, right) == (op == "==");
  }
  if (op == "in" || op == "not in") {
    if (right.list() != nullptr) {
      charge(right.list()->items.size() * weight_of(left));
    }
    return contains(right, left) == (op == "in");
  }
  if (op == "<" || op == ">") {
    return op == "<" ? less(left, right) : less(right, left);
  }
  const bool reals = is_number(left) && is_number(right);  // NaN is neither less nor greater
  if (reals && (std::isnan(as_double(left)) || std::isnan(as_double(right)))) {
    return false;
  }
  return op == "<=" ? !less(right, left) : !less(left, right);
}

}  // namespace lora_dist::jinja
