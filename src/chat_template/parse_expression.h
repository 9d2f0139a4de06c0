// Expressions of a template, from tokens.
#pragma once

#include <string_view>

#include "src/chat_template/syntax.h"
#include "src/chat_template/token_stream.h"

namespace lora_dist::jinja {

/// One expression; `conditional`: "a if b else c" may be one.
ExprPtr parse_expression(TokenStream& tokens, bool conditional = true);
/// An expression, or a tuple where commas follow; it ends before the name `stop` ("" for none).
ExprPtr parse_tuple(TokenStream& tokens, bool conditional, std::string_view stop = {});
/// What can be assigned to: a name, namespace.name (where `attributes`), or a tuple of them.
ExprPtr parse_target(TokenStream& tokens, bool attributes, std::string_view stop = {});
/// Filters after `input`, as in "|trim|upper"; `begun`: the first name comes without its bar.
ExprPtr parse_filters(TokenStream& tokens, ExprPtr input, bool begun);

}  // namespace lora_dist::jinja
