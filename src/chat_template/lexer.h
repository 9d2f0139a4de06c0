// Splits a template into tokens, stripping white space like trim_blocks and lstrip_blocks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lora_dist::jinja {

enum class TokenKind : std::uint8_t {
  data,         // text printed verbatim
  print_begin,  // {{
  print_end,    // }}
  block_begin,  // {%
  block_end,    // %}
  name,
  text,     // a string literal, its escapes resolved
  integer,  // digits without _
  real,
  op,  // + - * / // % ** ~ == != < <= > >= = . , : | ( ) [ ] { } ;
  end,
};

struct Token {
  TokenKind kind = TokenKind::end;
  std::string text;
  int line = 1;
};

/// Throws TemplateError with the line: an unknown character, an unterminated tag or comment, mismatched brackets.
std::vector<Token> tokens_of(std::string_view source);

}  // namespace lora_dist::jinja
