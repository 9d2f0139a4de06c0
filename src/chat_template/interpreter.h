// Interprets a parsed template: the state of one rendering and functions shared by the engine's files.
#pragma once

#include <cstddef>
#include <ctime>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/chat_template/syntax.h"
#include "src/chat_template/value.h"

namespace lora_dist::jinja {

/// The variables of a block, a loop iteration or a macro call.
struct Scope {
  std::vector<std::pair<std::string, Value>> names;
  std::shared_ptr<Scope> parent;  // null: the template itself
};

/// The `loop` of a for statement.
struct LoopState {
  const Statement* statement = nullptr;
  std::shared_ptr<Scope> scope;  // the enclosing scope
  std::vector<Value> items;
  std::int64_t index = 0;
  int depth = 0;
  Value last_changed;
  bool has_changed = false;
};

enum class CallableKind : std::uint8_t { function, method, macro, loop };

/// A callable. It does not own its scope, which would be a cycle for a macro stored in its own scope.
struct Callable {
  CallableKind kind = CallableKind::function;
  std::string name;                      // of a function, method or macro
  Value self{};                          // of a method
  const Statement* statement = nullptr;  // of a macro
  std::weak_ptr<Scope> scope{};          // of the macro's definition
  std::weak_ptr<LoopState> loop{};
};

struct CallArguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> keywords;
};

struct Limits {
  std::size_t work = std::size_t{1} << 26;  // the budget of a rendering: evaluated nodes, and bytes and elements made or read
  int depth = 1000;                         // of nested evaluations
};

/// Bytes [begin, end) of the output.
struct OutputSpan {
  std::size_t begin = 0, end = 0;
};

/// The output of a loop iteration over a message of the conversation.
struct MessageIteration {
  std::size_t message = 0;
  OutputSpan printed;
};

/// One rendering. All throw TemplateError.
struct Interpreter {
  Limits limits{};
  std::time_t now = 0;
  std::vector<std::pair<std::string, Value>> globals{};  // messages, tools, bos_token, ...

  std::string output{};                           // of the innermost captured block
  std::vector<OutputSpan> generated{};            // output of {% generation %} blocks
  std::map<const Dict*, std::size_t> messages{};  // the conversation's messages to their numbers; slices and filters share them
  std::vector<MessageIteration> iterations{};     // iterations over messages with output
  int line = 1;                                   // of the current node
  std::vector<std::unique_ptr<Namespace>> namespaces{};
  Value block_text{};
  int captures = 0;  // nesting of captured blocks, whose position in the output is unknown
  std::size_t work = 0;
  int depth = 0;

  void charge(std::size_t amount);

  /// How a block ended.
  enum class Flow : std::uint8_t { on, leave, next };
  Flow run(const Block& block, const std::shared_ptr<Scope>& scope);
  /// The output of the block.
  std::string caught(const Block& block, const std::shared_ptr<Scope>& scope);
  Value evaluate(const Expr& expr, const std::shared_ptr<Scope>& scope);
  CallArguments evaluate(const Arguments& arguments, const std::shared_ptr<Scope>& scope);
  Value look_up(const std::string& name, const Scope* scope) const;
  void assign(const Expr& target, const Value& value, const std::shared_ptr<Scope>& scope);
  Value run_loop(const Statement& statement, const Value& iterable, const std::shared_ptr<Scope>& scope, int level);

  Value call(const Value& callee, CallArguments arguments);
  Value call_macro(const Callable& macro, CallArguments arguments);
  Value call_function(const std::string& name, const CallArguments& arguments);
  Value call_method(const Value& self, const std::string& name, const CallArguments& arguments);
  Value call_loop(const Callable& loop, const CallArguments& arguments);

  Value attribute(const Value& object, const std::string& name);
  Value item(const Value& object, const Value& index);
  Value slice(const Value& object, const Value& start, const Value& stop, const Value& step);
  Value arithmetic(const std::string& op, const Value& left, const Value& right);
  bool compare(const std::string& op, const Value& left, const Value& right);

  Value filter(const std::string& name, const Value& input, const CallArguments& arguments);
  bool test(const std::string& name, const Value& input, const CallArguments& arguments);

  /// The elements of an iterable. Charged to the budget.
  std::vector<Value> elements(const Value& iterable);
  /// str(value). Charged to the budget.
  std::string text_of(const Value& value);
};

/// The arguments by name: null if absent. Throws for too many arguments or unknown names; `what` is the callee.
std::vector<const Value*> bind(const CallArguments& arguments, const std::vector<std::string_view>& names,
                               const std::string& what);

/// Throws the error of an operation on an undefined value.
void require_defined(const Value& value);
/// An integer (or bool); otherwise throws an error that names `what`.
std::int64_t whole_number(const Value& value, const char* what);

/// json.dumps with the arguments of transformers' tojson. indent: null for none.
std::string json_text(const Value& value, bool ensure_ascii, const std::string* indent, const std::string& item_separator,
                      const std::string& key_separator, bool sort_keys);

/// The sequence filters; null for other names.
using FilterFunction = Value (*)(Interpreter&, const Value&, const CallArguments&);
FilterFunction text_filter(std::string_view name);
FilterFunction sequence_filter(std::string_view name);

}  // namespace lora_dist::jinja
