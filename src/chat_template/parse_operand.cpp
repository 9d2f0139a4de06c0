// Parses operands: literals, names, brackets, and postfixes: attributes, calls, filters and tests.
#include <algorithm>
#include <charconv>

#include "src/chat_template/expression_nodes.h"
#include "src/chat_template/parse_expression.h"

namespace lora_dist::jinja {
namespace {

ExprPtr parse_primary(TokenStream& tokens);

ExprPtr number(const Token& token) {
  if (token.kind == TokenKind::real) {
    double value = 0.0;
    std::from_chars(token.text.data(), token.text.data() + token.text.size(), value);
    return make_constant(token.line, value);
  }
  std::int64_t value = 0;
  const auto end = std::from_chars(token.text.data(), token.text.data() + token.text.size(), value);
  if (end.ec != std::errc{}) {
    throw TemplateError("the number " + token.text.substr(0, 40) + " is too large", token.line);
  }
  return make_constant(token.line, value);
}

ExprPtr parse_list(TokenStream& tokens) {
  ExprPtr out = make(ExprKind::list, tokens.take().line, "");
  while (!tokens.is_op("]")) {
    if (!out->children.empty()) {
      tokens.expect_op(",");
    }
    if (tokens.is_op("]")) {
      break;
    }
    out->children.push_back(parse_expression(tokens));
  }
  tokens.expect_op("]");
  measure(*out);
  return out;
}

ExprPtr parse_dict(TokenStream& tokens) {
  ExprPtr out = make(ExprKind::dict, tokens.take().line, "");
  while (!tokens.is_op("}")) {
    if (!out->children.empty()) {
      tokens.expect_op(",");
    }
    if (tokens.is_op("}")) {
      break;
    }
    out->children.push_back(parse_expression(tokens));
    tokens.expect_op(":");
    out->children.push_back(parse_expression(tokens));
  }
  tokens.expect_op("}");
  measure(*out);
  return out;
}

ExprPtr parse_name(const Token& token) {
  if (token.text == "true" || token.text == "True" || token.text == "false" || token.text == "False") {
    return make_constant(token.line, token.text == "true" || token.text == "True");
  }
  if (token.text == "none" || token.text == "None") {
    return make_constant(token.line, None{});
  }
  return make(ExprKind::name, token.line, token.text);
}

ExprPtr parse_primary(TokenStream& tokens) {
  const Depth depth(tokens);
  if (tokens.is_op("[")) {
    return parse_list(tokens);
  }
  if (tokens.is_op("{")) {
    return parse_dict(tokens);
  }
  const Token token = tokens.current();
  if (tokens.take_op("(")) {
    if (tokens.is_op(")")) {
      tokens.take();
      return make(ExprKind::tuple, token.line, "");
    }
    ExprPtr inside = parse_tuple(tokens, true);
    tokens.expect_op(")");
    return inside;
  }
  if (token.kind == TokenKind::name || token.kind == TokenKind::integer || token.kind == TokenKind::real) {
    tokens.take();
    return token.kind == TokenKind::name ? parse_name(token) : number(token);
  }
  if (token.kind == TokenKind::text) {
    std::string text;
    while (tokens.is(TokenKind::text)) {  // "a" "b" is one string
      text += tokens.take().text;
    }
    return make_constant(token.line, std::move(text));
  }
  tokens.fail("unexpected " + TokenStream::shown(token));
}

/// Between ( and ).
Arguments parse_arguments(TokenStream& tokens) {
  Arguments out;
  tokens.expect_op("(");
  for (bool first = true; !tokens.is_op(")"); first = false) {
    if (!first) {
      tokens.expect_op(",");
      if (tokens.is_op(")")) {
        break;
      }
    }
    const bool ended = out.star_star != nullptr;
    if (tokens.take_op("*") && !ended && out.star == nullptr) {
      out.star = parse_expression(tokens);
    } else if (tokens.take_op("**") && !ended) {
      out.star_star = parse_expression(tokens);
    } else if (tokens.is(TokenKind::name) && tokens.following().kind == TokenKind::op && tokens.following().text == "=" &&
               !ended) {
      std::string name = tokens.take().text;
      tokens.take();
      out.keywords.emplace_back(std::move(name), parse_expression(tokens));
    } else if (!ended && out.star == nullptr && out.keywords.empty()) {
      out.positional.push_back(parse_expression(tokens));
    } else {
      tokens.fail("invalid syntax for function call expression");
    }
  }
  tokens.expect_op(")");
  return out;
}

ExprPtr parse_index(TokenStream& tokens) {
  const int line = tokens.line();
  const auto part = [&]() -> ExprPtr {
    return tokens.is_op(":") || tokens.is_op("]") || tokens.is_op(",") ? nullptr : parse_expression(tokens);
  };
  ExprPtr start = part();
  if (start != nullptr && !tokens.is_op(":")) {
    return start;
  }
  if (!tokens.take_op(":")) {
    tokens.fail("expected an expression in []");
  }
  ExprPtr stop = part();
  ExprPtr step = tokens.take_op(":") ? part() : nullptr;
  return make(ExprKind::slice, line, "", std::move(start), std::move(stop), std::move(step));
}

ExprPtr parse_subscript(TokenStream& tokens, ExprPtr node) {
  const int line = tokens.line();
  if (tokens.take_op(".")) {
    const Token token = tokens.take();
    if (token.kind == TokenKind::integer) {
      return make(ExprKind::subscript, line, "", std::move(node), number(token));
    }
    if (token.kind != TokenKind::name) {
      throw TemplateError("expected name or number", token.line);
    }
    return make(ExprKind::attribute, line, token.text, std::move(node));
  }
  tokens.expect_op("[");
  ExprPtr index = parse_index(tokens);
  tokens.expect_op("]");
  return make(ExprKind::subscript, line, "", std::move(node), std::move(index));
}

ExprPtr parse_call(TokenStream& tokens, ExprPtr callee) {
  ExprPtr out = make(ExprKind::call, tokens.line(), "", std::move(callee));
  out->arguments = parse_arguments(tokens);
  measure(*out);
  return out;
}

ExprPtr parse_postfix(TokenStream& tokens, ExprPtr node) {
  for (;;) {
    if (tokens.is_op(".") || tokens.is_op("[")) {
      node = parse_subscript(tokens, std::move(node));
    } else if (tokens.is_op("(")) {
      node = parse_call(tokens, std::move(node));
    } else {
      return node;
    }
  }
}

std::string dotted_name(TokenStream& tokens) {
  std::string name = tokens.expect_any_name();
  while (tokens.take_op(".")) {
    name += "." + tokens.expect_any_name();
  }
  return name;
}

bool starts_test_argument(const TokenStream& tokens) {
  const TokenKind kind = tokens.current().kind;
  if (kind == TokenKind::name) {
    return !tokens.is_name("else") && !tokens.is_name("or") && !tokens.is_name("and");
  }
  return kind == TokenKind::text || kind == TokenKind::integer || kind == TokenKind::real || tokens.is_op("[") ||
         tokens.is_op("{");
}

ExprPtr parse_test(TokenStream& tokens, ExprPtr input) {
  const int line = tokens.take().line;
  const bool negated = tokens.take_name("not");
  ExprPtr out = make(ExprKind::test, line, dotted_name(tokens), std::move(input));
  if (tokens.is_op("(")) {
    out->arguments = parse_arguments(tokens);
  } else if (starts_test_argument(tokens)) {
    if (tokens.is_name("is")) {
      tokens.fail("You cannot chain multiple tests with is");
    }
    out->arguments.positional.push_back(parse_postfix(tokens, parse_primary(tokens)));
  }
  measure(*out);
  return negated ? make(ExprKind::logical_not, line, "", std::move(out)) : std::move(out);
}

/// Filters, tests and calls after an operand.
ExprPtr parse_filter_expression(TokenStream& tokens, ExprPtr node) {
  for (;;) {
    if (tokens.is_op("|")) {
      node = parse_filters(tokens, std::move(node), false);
    } else if (tokens.is_name("is")) {
      node = parse_test(tokens, std::move(node));
    } else if (tokens.is_op("(")) {
      node = parse_call(tokens, std::move(node));
    } else {
      return node;
    }
  }
}

}  // namespace

void measure(Expr& expr) {
  int height = 0;
  const auto see = [&](const ExprPtr& child) { height = std::max(height, child == nullptr ? 0 : child->height); };
  std::for_each(expr.children.begin(), expr.children.end(), see);
  std::for_each(expr.arguments.positional.begin(), expr.arguments.positional.end(), see);
  for (const auto& [name, argument] : expr.arguments.keywords) {
    see(argument);
  }
  see(expr.arguments.star);
  see(expr.arguments.star_star);
  expr.height = height + 1;
  if (expr.height > kMaxExpressionHeight) {
    throw TemplateError("an expression is nested deeper than " + std::to_string(kMaxExpressionHeight) + " levels", expr.line);
  }
}

ExprPtr parse_unary(TokenStream& tokens, bool with_filter) {
  const Depth depth(tokens);
  const int line = tokens.line();
  ExprPtr node;
  if (tokens.take_op("-")) {
    node = make(ExprKind::negative, line, "", parse_unary(tokens, false));
  } else if (tokens.take_op("+")) {
    node = make(ExprKind::positive, line, "", parse_unary(tokens, false));
  } else {
    node = parse_primary(tokens);
  }
  node = parse_postfix(tokens, std::move(node));
  return with_filter ? parse_filter_expression(tokens, std::move(node)) : std::move(node);
}

ExprPtr parse_target(TokenStream& tokens, bool attributes, std::string_view stop) {
  const auto one = [&]() -> ExprPtr {
    const Depth depth(tokens);
    if (tokens.take_op("(")) {
      ExprPtr inside = parse_target(tokens, attributes, stop);
      tokens.expect_op(")");
      return inside;
    }
    const Token token = tokens.take();
    ExprPtr name = token.kind == TokenKind::name ? parse_name(token) : nullptr;
    if (name == nullptr || name->kind != ExprKind::name) {
      throw TemplateError("can't assign to " + TokenStream::shown(token), token.line);
    }
    if (attributes && tokens.take_op(".")) {
      return make(ExprKind::attribute, token.line, tokens.expect_any_name(), std::move(name));
    }
    return name;
  };
  ExprPtr first = one();
  if (!tokens.is_op(",")) {
    return first;
  }
  const int line = first->line;
  ExprPtr out = make(ExprKind::tuple, line, "", std::move(first));
  while (tokens.take_op(",") && !(tokens.is_op(")") || tokens.is_op("=") || (!stop.empty() && tokens.is_name(stop)))) {
    out->children.push_back(one());
  }
  measure(*out);
  return out;
}

ExprPtr parse_filters(TokenStream& tokens, ExprPtr input, bool begun) {
  if (input == nullptr) {
    input = make(ExprKind::block_text, tokens.line(), "");
  }
  while (begun || tokens.is_op("|")) {
    const int line = begun ? tokens.line() : tokens.take().line;
    begun = false;
    ExprPtr filter = make(ExprKind::filter, line, dotted_name(tokens), std::move(input));
    if (tokens.is_op("(")) {
      filter->arguments = parse_arguments(tokens);
    }
    measure(*filter);
    input = std::move(filter);
  }
  return input;
}

}  // namespace lora_dist::jinja
