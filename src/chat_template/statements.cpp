// Executes statements of a template.
#include "src/chat_template/interpreter.h"

namespace lora_dist::jinja {
namespace {

struct DepthGuard {
  explicit DepthGuard(Interpreter& interpreter) : interpreter(interpreter) {
    if (++interpreter.depth > interpreter.limits.depth) {
      --interpreter.depth;
      throw TemplateError("the template calls itself too deeply");
    }
  }
  DepthGuard(const DepthGuard&) = delete;
  DepthGuard& operator=(const DepthGuard&) = delete;
  ~DepthGuard() { --interpreter.depth; }

  Interpreter& interpreter;
};

std::shared_ptr<Scope> inner(const std::shared_ptr<Scope>& scope) { return std::make_shared<Scope>(Scope{{}, scope}); }

void set_name(Scope& scope, const std::string& name, Value value) {
  for (auto& [known, held] : scope.names) {
    if (known == name) {
      held = std::move(value);
      return;
    }
  }
  scope.names.emplace_back(name, std::move(value));
}

void print(Interpreter& in, const std::string& text) {
  in.charge(text.size());
  in.output += text;
}

Value macro_value(const Statement& statement, const std::string& name, const std::shared_ptr<Scope>& scope) {
  auto callable = std::make_shared<Callable>();
  callable->kind = CallableKind::macro;
  callable->name = name;
  callable->statement = &statement;
  callable->scope = scope;
  return std::shared_ptr<const Callable>(std::move(callable));
}

Interpreter::Flow run_condition(Interpreter& in, const Statement& statement, const std::shared_ptr<Scope>& scope) {
  for (const Branch& branch : statement.branches) {
    if (branch.condition == nullptr || is_true(in.evaluate(*branch.condition, scope))) {
      return in.run(branch.body, scope);
    }
  }
  return Interpreter::Flow::on;
}

/// {% call(x) m() %}: the body is a macro too, given as `caller`.
void run_call_block(Interpreter& in, const Statement& statement, const std::shared_ptr<Scope>& scope) {
  const Value callee = in.evaluate(*statement.value->children[0], scope);
  CallArguments arguments = in.evaluate(statement.value->arguments, scope);
  arguments.keywords.emplace_back("caller", macro_value(statement, "caller", scope));
  print(in, in.text_of(in.call(callee, std::move(arguments))));
}

void run_generation(Interpreter& in, const Statement& statement, const std::shared_ptr<Scope>& scope) {
  const std::string text = in.caught(statement.body, inner(scope));
  if (in.captures == 0) {
    in.generated.push_back({in.output.size(), in.output.size() + text.size()});
  }
  print(in, text);
}

Value value_of_block(Interpreter& in, const Statement& statement, const std::shared_ptr<Scope>& scope) {
  Value text = in.caught(statement.body, inner(scope));
  std::swap(in.block_text, text);
  Value value = in.evaluate(*statement.value, scope);
  in.block_text = std::move(text);
  return value;
}

Interpreter::Flow run_scope(Interpreter& in, const Statement& statement, const std::shared_ptr<Scope>& scope) {
  const auto inside = inner(scope);
  for (const auto& [target, value] : statement.bindings) {
    in.assign(*target, in.evaluate(*value, scope), inside);
  }
  return in.run(statement.body, inside);
}

Interpreter::Flow run_one(Interpreter& in, const Statement& statement, const std::shared_ptr<Scope>& scope) {
  in.line = statement.line;
  switch (statement.kind) {
    case StatementKind::data:
      print(in, statement.text);
      break;
    case StatementKind::print:
      print(in, in.text_of(in.evaluate(*statement.value, scope)));
      break;
    case StatementKind::condition:
      return run_condition(in, statement, scope);
    case StatementKind::loop:
      in.run_loop(statement, in.evaluate(*statement.value, scope), scope, 0);
      break;
    case StatementKind::assign:
      in.assign(*statement.target, in.evaluate(*statement.value, scope), scope);
      break;
    case StatementKind::assign_block:
      in.assign(*statement.target, value_of_block(in, statement, scope), scope);
      break;
    case StatementKind::macro:
      set_name(*scope, statement.text, macro_value(statement, statement.text, scope));
      break;
    case StatementKind::call_block:
      run_call_block(in, statement, scope);
      break;
    case StatementKind::filter_block:
      print(in, in.text_of(value_of_block(in, statement, scope)));
      break;
    case StatementKind::scope:
      return run_scope(in, statement, scope);
    case StatementKind::generation:
      run_generation(in, statement, scope);
      break;
    case StatementKind::leave:
      return Interpreter::Flow::leave;
    case StatementKind::next:
      return Interpreter::Flow::next;
  }
  return Interpreter::Flow::on;
}

void unpack(Interpreter& in, const Expr& target, const Value& value, const std::shared_ptr<Scope>& scope) {
  const std::vector<Value> parts = in.elements(value);
  const std::size_t wanted = target.children.size();
  if (parts.size() > wanted) {
    throw TemplateError("too many values to unpack (expected " + std::to_string(wanted) + ")");
  }
  if (parts.size() < wanted) {
    throw TemplateError("not enough values to unpack (expected " + std::to_string(wanted) + ", got " +
                        std::to_string(parts.size()) + ")");
  }
  for (std::size_t i = 0; i < wanted; ++i) {
    in.assign(*target.children[i], parts[i], scope);
  }
}

void note_iteration(Interpreter& in, const Value& item, std::size_t begin) {
  if (in.captures > 0 || in.output.size() == begin) {
    return;
  }
  if (const auto message = in.messages.find(item.dict()); message != in.messages.end()) {
    in.iterations.push_back({message->second, {begin, in.output.size()}});
  }
}

Value loop_value(const std::shared_ptr<LoopState>& state) {
  auto callable = std::make_shared<Callable>();
  callable->kind = CallableKind::loop;
  callable->name = "loop";
  callable->loop = state;
  return std::shared_ptr<const Callable>(std::move(callable));
}

}  // namespace

void Interpreter::charge(std::size_t amount) {
  work += amount;
  if (work > limits.work || amount > limits.work) {
    throw TemplateError("the template takes more work or memory than a chat template may");
  }
}

Interpreter::Flow Interpreter::run(const Block& block, const std::shared_ptr<Scope>& scope) {
  const DepthGuard guard(*this);
  for (const Statement& statement : block) {
    charge(1);
    if (const Flow flow = run_one(*this, statement, scope); flow != Flow::on) {
      return flow;
    }
  }
  return Flow::on;
}

std::string Interpreter::caught(const Block& block, const std::shared_ptr<Scope>& scope) {
  std::string outer = std::exchange(output, {});
  ++captures;
  run(block, scope);
  --captures;
  return std::exchange(output, std::move(outer));
}

void Interpreter::assign(const Expr& target, const Value& value, const std::shared_ptr<Scope>& scope) {
  if (target.kind == ExprKind::tuple) {
    unpack(*this, target, value, scope);
    return;
  }
  if (target.kind == ExprKind::name) {
    set_name(*scope, target.name, value);
    return;
  }
  const Value object = look_up(target.children[0]->name, scope.get());
  const auto* names = object.get<Namespace*>();
  if (names == nullptr) {
    throw TemplateError("cannot assign attribute on non-namespace object");
  }
  if (target.name.starts_with('_')) {
    throw TemplateError("Chat templates cannot store underscore-prefixed attributes on a namespace, but got '" + target.name +
                        "'");
  }
  for (auto& [known, held] : (*names)->names) {
    if (known == target.name) {
      held = value;
      return;
    }
  }
  (*names)->names.emplace_back(target.name, value);
}

Value Interpreter::run_loop(const Statement& statement, const Value& iterable, const std::shared_ptr<Scope>& scope, int level) {
  const DepthGuard guard(*this);
  const auto state = std::make_shared<LoopState>();
  state->statement = &statement;
  state->scope = scope;
  state->depth = level;
  state->items = elements(iterable);
  if (statement.filter != nullptr) {
    std::erase_if(state->items, [&](const Value& item) {
      charge(1);
      const auto inside = inner(scope);
      assign(*statement.target, item, inside);
      return !is_true(evaluate(*statement.filter, inside));
    });
  }
  const Value loop = loop_value(state);
  bool finished_an_iteration = false;
  for (; state->index < static_cast<std::int64_t>(state->items.size()); ++state->index) {
    charge(1);
    const auto inside = inner(scope);
    inside->names.emplace_back("loop", loop);
    const Value& item = state->items[static_cast<std::size_t>(state->index)];
    assign(*statement.target, item, inside);
    const std::size_t begin = output.size();
    const Flow flow = run(statement.body, inside);
    note_iteration(*this, item, begin);
    finished_an_iteration = finished_an_iteration || flow == Flow::on;
    if (flow == Flow::leave) {
      break;
    }
  }
  if (!finished_an_iteration) {  // like Jinja's code: an iteration ended by break or continue does not count
    run(statement.otherwise, inner(scope));
  }
  return None{};
}

}  // namespace lora_dist::jinja
