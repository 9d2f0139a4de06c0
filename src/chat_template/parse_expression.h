// Parses expressions of a template.
#pragma once

#include <string_view>

#include "src/chat_template/syntax.h"
#include "src/chat_template/token_stream.h"

namespace lora_dist::jinja {

/// One expression; `conditional`: allows "a if b else c".
ExprPtr parse_expression(TokenStream& tokens, bool conditional = true);
/// An expression, or a tuple if commas follow; ends before the name `stop` ("" for none).
ExprPtr parse_tuple(TokenStream& tokens, bool conditional, std::string_view stop = {});
/// An assignment target: a name, namespace.name (if `attributes`), or a tuple of them.
ExprPtr parse_target(TokenStream& tokens, bool attributes, std::string_view stop = {});
/// Filters after `input`, as in "|trim|upper"; `begun`: the first bar is already consumed.
ExprPtr parse_filters(TokenStream& tokens, ExprPtr input, bool begun);

}  // namespace lora_dist::jinja
