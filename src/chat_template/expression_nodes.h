// Makes expression nodes of bounded height.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "src/chat_template/syntax.h"
#include "src/chat_template/token_stream.h"

namespace lora_dist::jinja {

/// Sets the node's height from its children. Throws TemplateError beyond kMaxExpressionHeight.
void measure(Expr& expr);

template <class... Children>
ExprPtr make(ExprKind kind, int line, std::string name, Children... children) {
  auto out = std::make_unique<Expr>();
  out->kind = kind;
  out->line = line;
  out->name = std::move(name);
  (out->children.push_back(std::move(children)), ...);
  measure(*out);
  return out;
}

inline ExprPtr make_constant(int line, Value value) {
  ExprPtr out = make(ExprKind::constant, line, "");
  out->value = std::move(value);
  return out;
}

/// Bounds the parser's recursion depth.
class Depth {
 public:
  explicit Depth(const TokenStream& tokens) {
    if (++depth() > kMaxExpressionHeight) {
      --depth();
      tokens.fail("an expression is nested deeper than " + std::to_string(kMaxExpressionHeight) + " levels");
    }
  }
  Depth(const Depth&) = delete;
  Depth& operator=(const Depth&) = delete;
  ~Depth() { --depth(); }

 private:
  static int& depth() {
    thread_local int depth = 0;
    return depth;
  }
};

/// -x, a filter chain or an operand: expressions that bind tighter than binary operators.
ExprPtr parse_unary(TokenStream& tokens, bool with_filter);

}  // namespace lora_dist::jinja
