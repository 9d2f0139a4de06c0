// Parses operators, from the tightest binding to the loosest (jinja2/parser.py).
#include "src/chat_template/parse_expression.h"

#include <algorithm>
#include <array>

#include "src/chat_template/expression_nodes.h"

namespace lora_dist::jinja {
namespace {

ExprPtr parse_or(TokenStream& tokens);

/// operand (op operand)*, left-associative.
template <std::size_t N, class Operand>
ExprPtr parse_left(TokenStream& tokens, const std::array<std::string_view, N>& operators, Operand operand) {
  ExprPtr left = operand(tokens);
  while (tokens.is(TokenKind::op) && std::find(operators.begin(), operators.end(), tokens.current().text) != operators.end()) {
    const Token op = tokens.take();
    left = make(ExprKind::arithmetic, op.line, op.text, std::move(left), operand(tokens));
  }
  return left;
}

ExprPtr parse_pow(TokenStream& tokens) {
  return parse_left(tokens, std::array<std::string_view, 1>{"**"}, [](TokenStream& t) { return parse_unary(t, true); });
}

ExprPtr parse_product(TokenStream& tokens) {
  return parse_left(tokens, std::array<std::string_view, 4>{"*", "/", "//", "%"}, parse_pow);
}

ExprPtr parse_concat(TokenStream& tokens) {
  ExprPtr first = parse_product(tokens);
  if (!tokens.is_op("~")) {
    return first;
  }
  const int line = first->line;
  ExprPtr out = make(ExprKind::concat, line, "", std::move(first));
  while (tokens.take_op("~")) {
    out->children.push_back(parse_product(tokens));
  }
  measure(*out);
  return out;
}

ExprPtr parse_sum(TokenStream& tokens) { return parse_left(tokens, std::array<std::string_view, 2>{"+", "-"}, parse_concat); }

/// The comparison operator at this position, or "".
std::string take_comparison(TokenStream& tokens) {
  for (const std::string_view op : {"==", "!=", "<=", ">=", "<", ">"}) {
    if (tokens.take_op(op)) {
      return std::string(op);
    }
  }
  if (tokens.take_name("in")) {
    return "in";
  }
  if (tokens.is_name("not") && tokens.following().kind == TokenKind::name && tokens.following().text == "in") {
    tokens.take();
    tokens.take();
    return "not in";
  }
  return "";
}

ExprPtr parse_compare(TokenStream& tokens) {
  ExprPtr first = parse_sum(tokens);
  std::string op = take_comparison(tokens);
  if (op.empty()) {
    return first;
  }
  const int line = first->line;
  ExprPtr out = make(ExprKind::compare, line, "", std::move(first));
  for (; !op.empty(); op = take_comparison(tokens)) {
    out->operators.push_back(op);
    out->children.push_back(parse_sum(tokens));
  }
  measure(*out);
  return out;
}

ExprPtr parse_not(TokenStream& tokens) {
  const Depth depth(tokens);
  const int line = tokens.line();
  if (tokens.take_name("not")) {
    return make(ExprKind::logical_not, line, "", parse_not(tokens));
  }
  return parse_compare(tokens);
}

ExprPtr parse_and(TokenStream& tokens) {
  ExprPtr left = parse_not(tokens);
  while (tokens.is_name("and")) {
    const int line = tokens.take().line;
    left = make(ExprKind::logical_and, line, "", std::move(left), parse_not(tokens));
  }
  return left;
}

ExprPtr parse_or(TokenStream& tokens) {
  ExprPtr left = parse_and(tokens);
  while (tokens.is_name("or")) {
    const int line = tokens.take().line;
    left = make(ExprKind::logical_or, line, "", std::move(left), parse_and(tokens));
  }
  return left;
}

}  // namespace

ExprPtr parse_expression(TokenStream& tokens, bool conditional) {
  const Depth depth(tokens);
  ExprPtr out = parse_or(tokens);
  while (conditional && tokens.is_name("if")) {
    const int line = tokens.take().line;
    ExprPtr condition = parse_or(tokens);
    ExprPtr otherwise = tokens.take_name("else") ? parse_expression(tokens) : nullptr;
    out = make(ExprKind::conditional, line, "", std::move(condition), std::move(out), std::move(otherwise));
  }
  return out;
}

ExprPtr parse_tuple(TokenStream& tokens, bool conditional, std::string_view stop) {
  ExprPtr first = parse_expression(tokens, conditional);
  if (!tokens.is_op(",")) {
    return first;
  }
  const int line = first->line;
  ExprPtr out = make(ExprKind::tuple, line, "", std::move(first));
  while (tokens.take_op(",")) {
    const bool ends = tokens.is(TokenKind::print_end) || tokens.is(TokenKind::block_end) || tokens.is_op(")") ||
                      (!stop.empty() && tokens.is_name(stop));
    if (ends) {
      break;
    }
    out->children.push_back(parse_expression(tokens, conditional));
  }
  measure(*out);
  return out;
}

}  // namespace lora_dist::jinja
