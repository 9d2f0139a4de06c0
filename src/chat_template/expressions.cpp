// Evaluates expressions of a template.
#include <algorithm>

#include "src/chat_template/interpreter.h"

namespace lora_dist::jinja {
namespace {

Value evaluate_dict(Interpreter& in, const Expr& expr, const std::shared_ptr<Scope>& scope) {
  std::vector<std::pair<Value, Value>> items;
  for (std::size_t i = 0; i + 1 < expr.children.size(); i += 2) {
    Value key = in.evaluate(*expr.children[i], scope);
    if (key.list() != nullptr || key.dict() != nullptr) {
      throw TemplateError("a " + type_name(key) + " cannot be a key of a dict");
    }
    Value value = in.evaluate(*expr.children[i + 1], scope);
    in.charge(weight_of(key) + items.size());
    const auto same = std::find_if(items.begin(), items.end(), [&](const auto& item) { return equal(item.first, key); });
    if (same != items.end()) {
      same->second = std::move(value);
    } else {
      items.emplace_back(std::move(key), std::move(value));
    }
  }
  return make_dict(std::move(items));
}

Value evaluate_sequence(Interpreter& in, const Expr& expr, const std::shared_ptr<Scope>& scope) {
  std::vector<Value> items;
  for (const ExprPtr& child : expr.children) {
    items.push_back(in.evaluate(*child, scope));
  }
  in.charge(items.size());
  return make_list(std::move(items), expr.kind == ExprKind::list ? Sequence::list : Sequence::tuple);
}

Value evaluate_subscript(Interpreter& in, const Expr& expr, const std::shared_ptr<Scope>& scope) {
  const Value object = in.evaluate(*expr.children[0], scope);
  const Expr& index = *expr.children[1];
  if (index.kind != ExprKind::slice) {
    return in.item(object, in.evaluate(index, scope));
  }
  const auto part = [&](std::size_t i) {
    return index.children[i] == nullptr ? Value(None{}) : in.evaluate(*index.children[i], scope);
  };
  const Value start = part(0);
  const Value stop = part(1);
  return in.slice(object, start, stop, part(2));
}

Value evaluate_compare(Interpreter& in, const Expr& expr, const std::shared_ptr<Scope>& scope) {
  Value left = in.evaluate(*expr.children[0], scope);
  for (std::size_t i = 0; i < expr.operators.size(); ++i) {
    Value right = in.evaluate(*expr.children[i + 1], scope);
    if (!in.compare(expr.operators[i], left, right)) {
      return false;
    }
    left = std::move(right);
  }
  return true;
}

Value evaluate_concat(Interpreter& in, const Expr& expr, const std::shared_ptr<Scope>& scope) {
  std::string out;
  for (const ExprPtr& child : expr.children) {
    out += in.text_of(in.evaluate(*child, scope));
  }
  in.charge(out.size());
  return out;
}

Value evaluate_conditional(Interpreter& in, const Expr& expr, const std::shared_ptr<Scope>& scope) {
  if (is_true(in.evaluate(*expr.children[0], scope))) {
    return in.evaluate(*expr.children[1], scope);
  }
  if (expr.children[2] != nullptr) {
    return in.evaluate(*expr.children[2], scope);
  }
  return undefined("the inline if-expression on line " + std::to_string(expr.line) +
                   " evaluated to false and no else section was defined.");
}

Value evaluate_sign(Interpreter& in, const Expr& expr, const std::shared_ptr<Scope>& scope) {
  const Value value = in.evaluate(*expr.children[0], scope);
  const bool negative = expr.kind == ExprKind::negative;
  require_defined(value);
  if (!is_number(value)) {
    throw TemplateError(std::string("bad operand type for unary ") + (negative ? "-" : "+") + ": '" + type_name(value) + "'");
  }
  return in.arithmetic(negative ? "-" : "+", 0, value);
}

Value evaluate_logic(Interpreter& in, const Expr& expr, const std::shared_ptr<Scope>& scope) {
  Value left = in.evaluate(*expr.children[0], scope);
  if (expr.kind == ExprKind::logical_not) {
    return !is_true(left);
  }
  const bool decided = is_true(left) == (expr.kind == ExprKind::logical_or);
  return decided ? std::move(left) : in.evaluate(*expr.children[1], scope);
}

Value evaluate_call(Interpreter& in, const Expr& expr, const std::shared_ptr<Scope>& scope) {
  const Value callee = in.evaluate(*expr.children[0], scope);
  CallArguments arguments = in.evaluate(expr.arguments, scope);
  in.line = expr.line;
  return in.call(callee, std::move(arguments));
}

Value evaluate_applied(Interpreter& in, const Expr& expr, const std::shared_ptr<Scope>& scope) {
  const Value input = in.evaluate(*expr.children[0], scope);
  const CallArguments arguments = in.evaluate(expr.arguments, scope);
  in.line = expr.line;
  return expr.kind == ExprKind::filter ? in.filter(expr.name, input, arguments) : Value(in.test(expr.name, input, arguments));
}

Value evaluate_arithmetic(Interpreter& in, const Expr& expr, const std::shared_ptr<Scope>& scope) {
  const Value left = in.evaluate(*expr.children[0], scope);
  return in.arithmetic(expr.name, left, in.evaluate(*expr.children[1], scope));
}

}  // namespace

Value Interpreter::look_up(const std::string& name, const Scope* scope) const {
  for (; scope != nullptr; scope = scope->parent.get()) {
    for (const auto& [known, value] : scope->names) {
      if (known == name) {
        return value;
      }
    }
  }
  for (const auto& [known, value] : globals) {
    if (known == name) {
      return value;
    }
  }
  constexpr std::string_view kFunctions[] = {"range", "namespace", "dict", "raise_exception", "strftime_now"};
  if (std::find(std::begin(kFunctions), std::end(kFunctions), name) != std::end(kFunctions)) {
    auto function = std::make_shared<Callable>();
    function->name = name;
    return std::shared_ptr<const Callable>(std::move(function));
  }
  return undefined("'" + name + "' is undefined");
}

Value Interpreter::evaluate(const Expr& expr, const std::shared_ptr<Scope>& scope) {
  charge(1);
  if (depth >= limits.depth) {
    throw TemplateError("the template calls itself too deeply");
  }
  line = expr.line;
  struct Guard {
    int& depth;
    explicit Guard(int& d) : depth(d) { ++depth; }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;
    ~Guard() { --depth; }
  };
  const Guard guard(depth);
  switch (expr.kind) {
    case ExprKind::constant:
      return expr.value;
    case ExprKind::name:
      return look_up(expr.name, scope.get());
    case ExprKind::list:
    case ExprKind::tuple:
      return evaluate_sequence(*this, expr, scope);
    case ExprKind::dict:
      return evaluate_dict(*this, expr, scope);
    case ExprKind::attribute:
      return attribute(evaluate(*expr.children[0], scope), expr.name);
    case ExprKind::subscript:
      return evaluate_subscript(*this, expr, scope);
    case ExprKind::slice:
      throw TemplateError("a slice stands alone");
    case ExprKind::call:
      return evaluate_call(*this, expr, scope);
    case ExprKind::filter:
    case ExprKind::test:
      return evaluate_applied(*this, expr, scope);
    case ExprKind::negative:
    case ExprKind::positive:
      return evaluate_sign(*this, expr, scope);
    case ExprKind::logical_not:
    case ExprKind::logical_and:
    case ExprKind::logical_or:
      return evaluate_logic(*this, expr, scope);
    case ExprKind::compare:
      return evaluate_compare(*this, expr, scope);
    case ExprKind::arithmetic:
      return evaluate_arithmetic(*this, expr, scope);
    case ExprKind::concat:
      return evaluate_concat(*this, expr, scope);
    case ExprKind::conditional:
      return evaluate_conditional(*this, expr, scope);
    case ExprKind::block_text:
      return block_text;
  }
  return {};
}

CallArguments Interpreter::evaluate(const Arguments& arguments, const std::shared_ptr<Scope>& scope) {
  CallArguments out;
  for (const ExprPtr& argument : arguments.positional) {
    out.positional.push_back(evaluate(*argument, scope));
  }
  for (const auto& [name, argument] : arguments.keywords) {
    out.keywords.emplace_back(name, evaluate(*argument, scope));
  }
  if (arguments.star != nullptr) {
    const std::vector<Value> more = elements(evaluate(*arguments.star, scope));
    out.positional.insert(out.positional.end(), more.begin(), more.end());
  }
  if (arguments.star_star != nullptr) {
    const Value more = evaluate(*arguments.star_star, scope);
    if (more.dict() == nullptr) {
      throw TemplateError("argument after ** must be a mapping, not " + type_name(more));
    }
    for (const auto& [key, value] : more.dict()->items) {
      out.keywords.emplace_back(to_text(key), value);
    }
    charge(more.dict()->weight);
  }
  return out;
}

std::vector<Value> Interpreter::elements(const Value& iterable) {
  std::vector<Value> out;
  if (const List* list = iterable.list()) {
    out = list->items;
  } else if (const Dict* dict = iterable.dict()) {
    for (const auto& [key, value] : dict->items) {
      out.push_back(key);
    }
  } else if (iterable.text() != nullptr) {
    charge(16 * iterable.text()->size());
    return call_method(iterable, "(characters)", {}).list()->items;
  } else if (!iterable.is_undefined()) {
    throw TemplateError("'" + type_name(iterable) + "' object is not iterable");
  }
  charge(16 * out.size());
  return out;
}

std::string Interpreter::text_of(const Value& value) {
  charge(weight_of(value));
  return to_text(value);
}

}  // namespace lora_dist::jinja
