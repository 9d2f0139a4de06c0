// Parses statements of a template (jinja2/parser.py).
#include <algorithm>
#include <array>
#include <utility>

#include "src/chat_template/parse_expression.h"
#include "src/chat_template/syntax.h"

namespace lora_dist::jinja {
namespace {

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  Block parse() {
    Block out = parse_block({});
    return out;
  }

 private:
  using Ends = std::vector<std::string_view>;

  bool at_end_tag(const Ends& ends) const {
    return std::any_of(ends.begin(), ends.end(), [&](std::string_view end) { return tokens_.is_name(end); });
  }

  /// Statements up to a tag that begins with one of `ends`, which becomes the current token.
  Block parse_block(const Ends& ends) {
    if (++depth_ > kMaxBlockDepth) {
      tokens_.fail("blocks are nested deeper than " + std::to_string(kMaxBlockDepth) + " levels");
    }
    Block out;
    while (!tokens_.is(TokenKind::end)) {
      const Token token = tokens_.take();
      if (token.kind == TokenKind::data) {
        Statement& data = begin(out, StatementKind::data, token.line);
        data.text = token.text;
      } else if (token.kind == TokenKind::print_begin) {
        ExprPtr value = parse_tuple(tokens_, true);
        begin(out, StatementKind::print, token.line).value = std::move(value);
        tokens_.expect_end(TokenKind::print_end);
      } else if (at_end_tag(ends)) {
        --depth_;
        return out;
      } else {
        parse_tag(out);
        tokens_.expect_end(TokenKind::block_end);
      }
    }
    if (!ends.empty()) {
      tokens_.fail("Unexpected end of template; expected '" + std::string(ends.back()) + "'");
    }
    --depth_;
    return out;
  }

  static Statement& begin(Block& out, StatementKind kind, int line) {
    Statement& statement = out.emplace_back();
    statement.kind = kind;
    statement.line = line;
    return statement;
  }

  /// The body and end tag of a tag whose head is parsed.
  Block body_until(std::string_view end) {
    tokens_.expect_end(TokenKind::block_end);
    Block body = parse_block({end});
    tokens_.take();
    return body;
  }

  void parse_tag(Block& out) {
    const Token tag = tokens_.current();
    if (tag.kind != TokenKind::name) {
      tokens_.fail("tag name expected");
    }
    tokens_.take();
    Statement statement;
    statement.line = tag.line;
    if (tag.text == "if") {
      parse_if(statement);
    } else if (tag.text == "for") {
      parse_for(statement);
    } else if (tag.text == "set") {
      parse_set(statement);
    } else if (tag.text == "macro") {
      parse_macro(statement);
    } else if (tag.text == "call") {
      parse_call_block(statement);
    } else if (tag.text == "filter") {
      statement.kind = StatementKind::filter_block;
      statement.value = parse_filters(tokens_, nullptr, true);
      statement.body = body_until("endfilter");
    } else if (tag.text == "with") {
      parse_with(statement);
    } else if (tag.text == "generation") {
      statement.kind = StatementKind::generation;
      statement.body = body_until("endgeneration");
    } else if (tag.text == "break" || tag.text == "continue") {
      statement.kind = tag.text == "break" ? StatementKind::leave : StatementKind::next;
      if (loops_ == 0) {
        throw TemplateError("'" + tag.text + "' outside loop", tag.line);
      }
    } else if (tag.text == "print") {
      statement.kind = StatementKind::print;
      statement.value = parse_tuple(tokens_, true);
    } else {
      fail_unknown(tag);
    }
    out.push_back(std::move(statement));
  }

  [[noreturn]] static void fail_unknown(const Token& tag) {
    constexpr std::array<std::string_view, 5> kOthers = {"block", "extends", "include", "import", "from"};
    if (std::find(kOthers.begin(), kOthers.end(), tag.text) != kOthers.end() || tag.text == "autoescape") {
      throw TemplateError("the tag '" + tag.text + "' has no place in a chat template", tag.line);
    }
    throw TemplateError("Encountered unknown tag '" + tag.text.substr(0, 40) + "'.", tag.line);
  }

  void parse_if(Statement& out) {
    out.kind = StatementKind::condition;
    for (bool more = true; more;) {
      Branch branch;
      branch.condition = parse_tuple(tokens_, false);
      tokens_.expect_end(TokenKind::block_end);
      branch.body = parse_block({"elif", "else", "endif"});
      out.branches.push_back(std::move(branch));
      const std::string end = tokens_.take().text;
      more = end == "elif";
      if (end == "else") {
        out.branches.push_back({nullptr, body_until("endif")});
      }
    }
  }

  void parse_for(Statement& out) {
    out.kind = StatementKind::loop;
    out.target = parse_target(tokens_, false, "in");
    tokens_.expect_name("in");
    out.value = parse_tuple(tokens_, false, "recursive");
    if (tokens_.take_name("if")) {
      out.filter = parse_expression(tokens_);
    }
    out.recursive = tokens_.take_name("recursive");
    tokens_.expect_end(TokenKind::block_end);
    ++loops_;
    out.body = parse_block({"endfor", "else"});
    --loops_;
    if (tokens_.take().text == "else") {
      out.otherwise = body_until("endfor");
    }
  }

  void parse_set(Statement& out) {
    out.target = parse_target(tokens_, true);
    if (tokens_.take_op("=")) {
      out.kind = StatementKind::assign;
      out.value = parse_tuple(tokens_, true);
      return;
    }
    out.kind = StatementKind::assign_block;
    out.value = parse_filters(tokens_, nullptr, false);
    out.body = body_until("endset");
  }

  std::vector<Parameter> parse_parameters() {
    std::vector<Parameter> out;
    tokens_.expect_op("(");
    while (!tokens_.is_op(")")) {
      if (!out.empty()) {
        tokens_.expect_op(",");
      }
      Parameter parameter{tokens_.expect_any_name(), nullptr};
      if (tokens_.take_op("=")) {
        parameter.otherwise = parse_expression(tokens_);
      } else if (!out.empty() && out.back().otherwise != nullptr) {
        tokens_.fail("non-default argument follows default argument");
      }
      out.push_back(std::move(parameter));
    }
    tokens_.expect_op(")");
    return out;
  }

  /// A body with its own function scope: break and continue do not leave it.
  Block function_body(std::string_view end) {
    const int loops = std::exchange(loops_, 0);
    Block body = body_until(end);
    loops_ = loops;
    return body;
  }

  void parse_macro(Statement& out) {
    out.kind = StatementKind::macro;
    out.text = tokens_.expect_any_name();
    const std::size_t from = tokens_.position();
    out.parameters = parse_parameters();
    out.body = function_body("endmacro");
    find_special_names(out, from);
  }

  void parse_call_block(Statement& out) {
    out.kind = StatementKind::call_block;
    const std::size_t from = tokens_.position();
    if (tokens_.is_op("(")) {
      out.parameters = parse_parameters();
    }
    out.value = parse_expression(tokens_);
    if (out.value->kind != ExprKind::call) {
      tokens_.fail("expected call");
    }
    out.body = function_body("endcall");
    find_special_names(out, from);
  }

  void find_special_names(Statement& out, std::size_t from) const {
    out.takes_varargs = tokens_.named_since(from, "varargs");
    out.takes_kwargs = tokens_.named_since(from, "kwargs");
    out.takes_caller = tokens_.named_since(from, "caller");
  }

  void parse_with(Statement& out) {
    out.kind = StatementKind::scope;
    while (!tokens_.is(TokenKind::block_end)) {
      if (!out.bindings.empty()) {
        tokens_.expect_op(",");
      }
      Token name = tokens_.current();
      ExprPtr target = std::make_unique<Expr>();
      target->kind = ExprKind::name;
      target->line = name.line;
      target->name = tokens_.expect_any_name();
      tokens_.expect_op("=");
      out.bindings.emplace_back(std::move(target), parse_expression(tokens_));
    }
    out.body = body_until("endwith");
  }

  TokenStream tokens_;
  int depth_ = 0;  // of blocks
  int loops_ = 0;  // enclosing loops within the macro
};

}  // namespace

Block parse_template(std::string_view source) { return Parser(tokens_of(source)).parse(); }

}  // namespace lora_dist::jinja
