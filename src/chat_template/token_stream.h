// The parser's stream of a template's tokens.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "src/chat_template/lexer.h"
#include "src/chat_template/value.h"

namespace lora_dist::jinja {

class TokenStream {
 public:
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& current() const { return tokens_[at_]; }
  const Token& following() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  int line() const { return current().line; }

  Token take() {
    Token token = current();
    at_ = std::min(at_ + 1, tokens_.size() - 1);
    return token;
  }

  bool is(TokenKind kind) const { return current().kind == kind; }
  bool is_op(std::string_view op) const { return is(TokenKind::op) && current().text == op; }
  bool is_name(std::string_view name) const { return is(TokenKind::name) && current().text == name; }

  bool take_op(std::string_view op) {
    if (!is_op(op)) {
      return false;
    }
    take();
    return true;
  }
  bool take_name(std::string_view name) {
    if (!is_name(name)) {
      return false;
    }
    take();
    return true;
  }

  void expect_op(std::string_view op) {
    if (!take_op(op)) {
      fail("expected token '" + std::string(op) + "', got " + shown(current()));
    }
  }
  void expect_name(std::string_view name) {
    if (!take_name(name)) {
      fail("expected token '" + std::string(name) + "', got " + shown(current()));
    }
  }
  std::string expect_any_name() {
    if (!is(TokenKind::name)) {
      fail("expected token 'name', got " + shown(current()));
    }
    return take().text;
  }
  void expect_end(TokenKind end) {
    if (!is(end)) {
      fail(std::string("expected token '") + (end == TokenKind::print_end ? "end of print statement" : "end of statement block") +
           "', got " + shown(current()));
    }
    take();
  }

  std::size_t position() const { return at_; }
  /// True if the tokens [from, position()) include a name.
  bool named_since(std::size_t from, std::string_view name) const {
    return std::any_of(tokens_.begin() + static_cast<std::ptrdiff_t>(from), tokens_.begin() + static_cast<std::ptrdiff_t>(at_),
                       [&](const Token& token) { return token.kind == TokenKind::name && token.text == name; });
  }

  [[noreturn]] void fail(const std::string& what) const { throw TemplateError(what, line()); }

  static std::string shown(const Token& token) {
    switch (token.kind) {
      case TokenKind::print_end:
        return "'end of print statement'";
      case TokenKind::block_end:
        return "'end of statement block'";
      case TokenKind::end:
        return "'end of template'";
      case TokenKind::text:
        return "'string'";
      default:
        return "'" + token.text.substr(0, 40) + "'";
    }
  }

 private:
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
};

}  // namespace lora_dist::jinja
