// PCRE2 with JIT if available. Limits on backtracking stop patterns that would take hours.
#include "src/tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "src/core/utf8.h"
#include "src/tokenizer/regex_syntax.h"

namespace lora_dist {
namespace {

constexpr std::size_t kJitStackStart = 64 << 10, kJitStackLimit = 8 << 20;  // bytes
constexpr std::uint32_t kMatchLimit = 50'000'000;                           // steps; about a second
constexpr std::uint32_t kHeapLimit = 64 << 10;                              // KiB, without JIT

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* p) const {
    Free(p);
  }
};
using Code = std::unique_ptr<pcre2_code, Freed<pcre2_code_free>>;
using MatchData = std::unique_ptr<pcre2_match_data, Freed<pcre2_match_data_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Freed<pcre2_match_context_free>>;
using JitStack = std::unique_ptr<pcre2_jit_stack, Freed<pcre2_jit_stack_free>>;

std::string message_of(int code) {
  PCRE2_UCHAR text[256] = {};
  pcre2_get_error_message(code, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

/// A thread's matching state.
struct Matcher {
  MatchData data;
  MatchContext context;
  JitStack stack;  // allocated if PCRE2's default of 32 KiB is too small
};

Matcher make_matcher(const pcre2_code* code) {
  Matcher out{MatchData(pcre2_match_data_create_from_pattern(code, nullptr)), MatchContext(pcre2_match_context_create(nullptr)),
              nullptr};
  if (!out.data || !out.context) {
    throw std::bad_alloc();
  }
  pcre2_set_match_limit(out.context.get(), kMatchLimit);
  pcre2_set_heap_limit(out.context.get(), kHeapLimit);
  return out;
}

int match_from(const pcre2_code* code, Matcher& matcher, std::string_view text, std::size_t from) {
  const auto once = [&] {
    return pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from, PCRE2_NO_UTF_CHECK, matcher.data.get(),
                       matcher.context.get());
  };
  const int found = once();
  if (found != PCRE2_ERROR_JIT_STACKLIMIT || matcher.stack) {
    return found;
  }
  matcher.stack.reset(pcre2_jit_stack_create(kJitStackStart, kJitStackLimit, nullptr));
  pcre2_jit_stack_assign(matcher.context.get(), nullptr, matcher.stack.get());
  return matcher.stack ? once() : found;
}

}  // namespace

struct Regex::Program {
  Code code;
};

Regex compile_regex(std::string_view pattern) {
  const std::string translated = to_pcre2(pattern);
  int error = 0;
  PCRE2_SIZE at = 0;
  Code code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                          PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_AUTO_CAPTURE, &error, &at,
                          nullptr));
  if (error == PCRE2_ERROR_LOOKBEHIND_NOT_FIXED_LENGTH) {
    throw RegexError("has a lookbehind of no fixed length ((?<=a+)), which is not supported");
  }
  if (!code) {
    throw RegexError("is not a regular expression that PCRE2 understands (" + message_of(error) + ")");
  }
  pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);  // on failure PCRE2 interprets
  return {std::make_shared<const Regex::Program>(Regex::Program{std::move(code)})};
}

void find_matches(const Regex& regex, std::string_view text, std::vector<Match>& out) {
  const pcre2_code* code = regex.program->code.get();
  Matcher matcher = make_matcher(code);
  const PCRE2_SIZE* const where = pcre2_get_ovector_pointer(matcher.data.get());
  std::size_t from = 0;
  bool after_match = false;
  std::size_t last_end = 0;
  while (from <= text.size()) {
    const int found = match_from(code, matcher, text, from);
    if (found == PCRE2_ERROR_NOMATCH) {
      return;
    }
    if (found < 0) {
      throw RegexError("takes too long on a text of " + std::to_string(text.size()) + " bytes (" + message_of(found) + ")");
    }
    const Match match{where[0], where[1]};
    if (match.begin < from || match.end < match.begin) {  // \K in a lookaround
      throw RegexError("matches backwards");
    }
    if (match.begin == match.end && after_match && match.end == last_end) {
      from += from < text.size() ? utf8_maximal_subpart(text.substr(from)) : 1;
      continue;
    }
    out.push_back(match);
    from = last_end = match.end;
    after_match = true;
  }
}

}  // namespace lora_dist
