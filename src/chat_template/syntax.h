// The syntax tree of a template: plain nodes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/chat_template/value.h"

namespace lora_dist::jinja {

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

struct Arguments {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> keywords;
  ExprPtr star, star_star;  // *args, **kwargs; null without
};

enum class ExprKind : std::uint8_t {
  constant,
  name,
  list,
  tuple,
  dict,         // children: key, value, key, value, ...
  attribute,    // children: object; name
  subscript,    // children: object, index
  slice,        // children: start, stop, step; null where left out. Only as the index of a subscript
  call,         // children: callee; arguments
  filter,       // children: input; name, arguments
  test,         // children: input; name, arguments
  negative,     // -x
  positive,     // +x
  logical_not,  //
  logical_and,  // children: left, right
  logical_or,   // children: left, right
  compare,      // children: n + 1 operands; operators: n of == != < <= > >= in "not in"
  arithmetic,   // children: left, right; name: the operator
  concat,       // a ~ b ~ ...
  conditional,  // children: condition, then, otherwise (null without else)
  block_text,   // the output of a filter or set block
};

struct Expr {
  ExprKind kind = ExprKind::constant;
  int line = 1;
  int height = 1;  // of the tree below
  std::string name;
  Value value;
  std::vector<ExprPtr> children;
  std::vector<std::string> operators;
  Arguments arguments;
};

struct Statement;
using Block = std::vector<Statement>;

enum class StatementKind : std::uint8_t {
  data,
  print,
  condition,     // branches
  loop,          // target, value: the iterable, filter, body, otherwise, recursive
  assign,        // target = value
  assign_block,  // target = value of block_text, from body
  macro,         // name, parameters, body
  call_block,    // value: the call, parameters, body
  filter_block,  // value of block_text, from body
  scope,         // with: targets = values, body
  generation,    // body is the assistant's
  leave,         // break
  next,          // continue
};

struct Parameter {
  std::string name;
  ExprPtr otherwise;  // null without default
};

struct Branch {
  ExprPtr condition;  // null: else
  Block body;
};

struct Statement {
  StatementKind kind = StatementKind::data;
  int line = 1;
  std::string text;  // data; the name of a macro
  ExprPtr target, value, filter;
  bool recursive = false;
  bool takes_varargs = false, takes_kwargs = false, takes_caller = false;  // used by a macro's body
  std::vector<Parameter> parameters;
  std::vector<std::pair<ExprPtr, ExprPtr>> bindings;  // of with
  std::vector<Branch> branches;
  Block body, otherwise;
};

/// The maximum nesting of expressions and of blocks.
inline constexpr int kMaxExpressionHeight = 200;
inline constexpr int kMaxBlockDepth = 60;

/// Throws TemplateError with the line for a syntax error, and for unsupported statements (include, import, extends, block, do,
/// autoescape, trans).
Block parse_template(std::string_view source);

}  // namespace lora_dist::jinja
