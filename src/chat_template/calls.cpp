// Calls of macros, recursive loops, and the functions of chat templates.
#include <algorithm>
#include <array>

#include "src/chat_template/interpreter.h"

namespace lora_dist::jinja {
namespace {

constexpr std::int64_t kLongestRange = 100000;  // as Jinja's sandbox

Value make_range(Interpreter& in, const CallArguments& arguments) {
  if (arguments.positional.empty() || arguments.positional.size() > 3 || !arguments.keywords.empty()) {
    throw TemplateError("range takes one to three whole numbers");
  }
  std::vector<std::int64_t> numbers;
  for (const Value& value : arguments.positional) {
    numbers.push_back(whole_number(value, "range"));
  }
  const std::int64_t start = numbers.size() > 1 ? numbers[0] : 0;
  const std::int64_t stop = numbers.size() > 1 ? numbers[1] : numbers[0];
  const std::int64_t step = numbers.size() > 2 ? numbers[2] : 1;
  if (step == 0) {
    throw TemplateError("range() arg 3 must not be zero");
  }
  std::vector<Value> items;
  for (std::int64_t at = start; step > 0 ? at < stop : at > stop;) {
    if (static_cast<std::int64_t>(items.size()) >= kLongestRange) {
      throw TemplateError("Range too big. The sandbox blocks ranges larger than MAX_RANGE (100000).");
    }
    items.emplace_back(at);
    if (__builtin_add_overflow(at, step, &at)) {
      break;
    }
  }
  in.charge(16 * items.size());
  return make_list(std::move(items), Sequence::range);
}

/// dict(mapping or pairs, name=value, ...).
std::vector<std::pair<Value, Value>> dict_items(Interpreter& in, const CallArguments& arguments, const char* what) {
  if (arguments.positional.size() > 1) {
    throw TemplateError(std::string(what) + " expected at most 1 argument, got " + std::to_string(arguments.positional.size()));
  }
  std::vector<std::pair<Value, Value>> items;
  const auto put = [&](const Value& key, const Value& value) {
    in.charge(weight_of(key) + items.size() + 16);
    const auto same = std::find_if(items.begin(), items.end(), [&](const auto& item) { return equal(item.first, key); });
    if (same != items.end()) {
      same->second = value;
    } else {
      items.emplace_back(key, value);
    }
  };
  if (!arguments.positional.empty() && arguments.positional[0].dict() != nullptr) {
    items = arguments.positional[0].dict()->items;
    in.charge(16 * items.size());
  } else if (!arguments.positional.empty()) {
    for (const Value& pair : in.elements(arguments.positional[0])) {
      const std::vector<Value> parts = in.elements(pair);
      if (parts.size() != 2 || parts[0].list() != nullptr || parts[0].dict() != nullptr) {
        throw TemplateError(std::string(what) + " needs a mapping, or pairs of a key and a value");
      }
      put(parts[0], parts[1]);
    }
  }
  for (const auto& [name, value] : arguments.keywords) {
    put(name, value);
  }
  return items;
}

Value make_namespace(Interpreter& in, const CallArguments& arguments) {
  auto names = std::make_unique<Namespace>();
  for (auto& [key, value] : dict_items(in, arguments, "namespace")) {
    const std::string name = in.text_of(key);
    if (name.starts_with('_')) {
      throw TemplateError("Chat templates cannot store underscore-prefixed attributes on a namespace, but got '" + name + "'");
    }
    names->names.emplace_back(name, value);
  }
  in.charge(64);
  in.namespaces.push_back(std::move(names));
  return in.namespaces.back().get();
}

Value now_as(const Interpreter& in, const CallArguments& arguments) {
  const Value& format = *bind(arguments, {"format"}, "strftime_now").at(0);
  if (format.text() == nullptr || format.text()->size() > 200) {
    throw TemplateError("strftime_now takes a short text");
  }
  std::tm time{};
  localtime_r(&in.now, &time);
  std::string out(4096, '\0');
  const std::string marked = *format.text() + "\x01";  // so that an empty result differs from an error
  const std::size_t n = std::strftime(out.data(), out.size(), marked.c_str(), &time);
  out.resize(n > 0 ? n - 1 : 0);
  return out;
}

/// The parameter's value: positional, by name, its default, or undefined.
Value parameter_value(Interpreter& in, const Statement& macro, std::size_t i, CallArguments& arguments,
                      const std::shared_ptr<Scope>& scope) {
  const Parameter& parameter = macro.parameters[i];
  if (i < arguments.positional.size()) {
    return arguments.positional[i];
  }
  const auto named = std::find_if(arguments.keywords.begin(), arguments.keywords.end(),
                                  [&](const auto& keyword) { return keyword.first == parameter.name; });
  if (named != arguments.keywords.end()) {
    Value value = named->second;
    arguments.keywords.erase(named);
    return value;
  }
  return parameter.otherwise != nullptr ? in.evaluate(*parameter.otherwise, scope)
                                        : undefined("parameter '" + parameter.name + "' was not provided");
}

/// Remaining arguments become caller, kwargs and varargs, if the body uses them.
void bind_rest(const std::string& name, const Statement& macro, CallArguments& arguments, Scope& scope) {
  if (macro.takes_caller) {
    const auto caller = std::find_if(arguments.keywords.begin(), arguments.keywords.end(),
                                     [](const auto& keyword) { return keyword.first == "caller"; });
    scope.names.emplace_back("caller", caller == arguments.keywords.end() ? undefined("No caller defined") : caller->second);
    if (caller != arguments.keywords.end()) {
      arguments.keywords.erase(caller);
    }
  }
  if (macro.takes_kwargs) {
    std::vector<std::pair<Value, Value>> items;
    for (auto& [key, value] : arguments.keywords) {
      items.emplace_back(key, value);
    }
    scope.names.emplace_back("kwargs", make_dict(std::move(items)));
  } else if (!arguments.keywords.empty()) {
    throw TemplateError("macro '" + name + "' takes no keyword argument '" + arguments.keywords.front().first + "'");
  }
  const std::size_t taken = std::min(arguments.positional.size(), macro.parameters.size());
  if (macro.takes_varargs) {
    std::vector<Value> rest(arguments.positional.begin() + static_cast<std::ptrdiff_t>(taken), arguments.positional.end());
    scope.names.emplace_back("varargs", make_list(std::move(rest), Sequence::tuple));
  } else if (arguments.positional.size() > macro.parameters.size()) {
    throw TemplateError("macro '" + name + "' takes not more than " + std::to_string(macro.parameters.size()) + " argument(s)");
  }
}

}  // namespace

std::vector<const Value*> bind(const CallArguments& arguments, const std::vector<std::string_view>& names,
                               const std::string& what) {
  std::vector<const Value*> out(names.size(), nullptr);
  if (arguments.positional.size() > names.size()) {
    throw TemplateError(what + " takes at most " + std::to_string(names.size()) + " arguments (" +
                        std::to_string(arguments.positional.size()) + " given)");
  }
  for (std::size_t i = 0; i < arguments.positional.size(); ++i) {
    out[i] = &arguments.positional[i];
  }
  for (const auto& [name, value] : arguments.keywords) {
    const auto found = std::find(names.begin(), names.end(), name);
    const auto i = static_cast<std::size_t>(found - names.begin());
    if (found == names.end() || out[i] != nullptr) {
      throw TemplateError(what + " got an unexpected argument '" + name + "'");
    }
    out[i] = &value;
  }
  return out;
}

void require_defined(const Value& value) {
  if (const auto* missing = value.get<Undefined>()) {
    throw TemplateError(missing->why ? *missing->why : "an undefined value is used");
  }
}

std::int64_t whole_number(const Value& value, const char* what) {
  require_defined(value);
  if (const bool* flag = value.get<bool>()) {
    return *flag ? 1 : 0;
  }
  if (const auto* number = value.get<std::int64_t>()) {
    return *number;
  }
  throw TemplateError(std::string(what) + ": '" + type_name(value) + "' object cannot be interpreted as an integer");
}

Value Interpreter::call(const Value& callee, CallArguments arguments) {
  require_defined(callee);
  const auto* callable = callee.get<std::shared_ptr<const Callable>>();
  if (callable == nullptr) {
    throw TemplateError("'" + type_name(callee) + "' object is not callable");
  }
  charge(1);
  switch ((*callable)->kind) {
    case CallableKind::function:
      return call_function((*callable)->name, arguments);
    case CallableKind::method:
      return call_method((*callable)->self, (*callable)->name, arguments);
    case CallableKind::macro:
      return call_macro(**callable, std::move(arguments));
    case CallableKind::loop:
      return call_loop(**callable, arguments);
  }
  return {};
}

Value Interpreter::call_macro(const Callable& macro, CallArguments arguments) {
  const std::shared_ptr<Scope> outer = macro.scope.lock();
  if (outer == nullptr) {
    throw TemplateError("the macro '" + macro.name + "' is called after the block that it belongs to");
  }
  const auto scope = std::make_shared<Scope>(Scope{{}, outer});
  for (std::size_t i = 0; i < macro.statement->parameters.size(); ++i) {
    Value value = parameter_value(*this, *macro.statement, i, arguments, scope);
    scope->names.emplace_back(macro.statement->parameters[i].name, std::move(value));
  }
  bind_rest(macro.name, *macro.statement, arguments, *scope);
  return caught(macro.statement->body, scope);
}

Value Interpreter::call_loop(const Callable& loop, const CallArguments& arguments) {
  const std::shared_ptr<LoopState> state = loop.loop.lock();
  if (state == nullptr) {
    throw TemplateError("a loop is used after its end");
  }
  if (!state->statement->recursive) {
    throw TemplateError("The loop must have the 'recursive' marker to be called recursively.");
  }
  const Value& iterable = *bind(arguments, {"iterable"}, "loop").at(0);
  std::string outer = std::exchange(output, {});
  ++captures;
  run_loop(*state->statement, iterable, state->scope, state->depth + 1);
  --captures;
  return std::exchange(output, std::move(outer));
}

Value Interpreter::call_function(const std::string& name, const CallArguments& arguments) {
  if (name == "range") {
    return make_range(*this, arguments);
  }
  if (name == "namespace") {
    return make_namespace(*this, arguments);
  }
  if (name == "dict") {
    return make_dict(dict_items(*this, arguments, "dict"));
  }
  const std::vector<const Value*> bound = bind(arguments, {name == "strftime_now" ? "format" : "message"}, name);
  if (bound[0] == nullptr) {
    throw TemplateError(name + "() missing 1 required positional argument");
  }
  if (name == "strftime_now") {
    return now_as(*this, arguments);
  }
  throw RaisedByTemplate(text_of(*bound[0]), line);
}

}  // namespace lora_dist::jinja
