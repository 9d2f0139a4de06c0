// Marks match verbatim; those of questions and answers only at the start of a line.
#include "src/data/marked_text.h"

#include <algorithm>
#include <initializer_list>
#include <string>

namespace lora_dist {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

struct Marks {
  std::string_view question, answer;
  std::vector<std::string_view> others;
  bool at_line_start = false;
};

/// The marks of this kind of text.
std::vector<Marks> marks_of(RowKind kind) {
  if (kind == RowKind::marked_text) {
    return {{"<|user|>", "<|assistant|>", {"<|system|>", "<|tool|>"}, false}};
  }
  return {{"Q:", "A:", {}, true}, {"Question:", "Answer:", {}, true}};
}

std::size_t find_mark(std::string_view text, std::string_view mark, std::size_t from, bool at_line_start) {
  std::size_t at = text.find(mark, from);
  while (at_line_start && at != std::string_view::npos && at > 0 && text[at - 1] != '\n') {
    at = text.find(mark, at + 1);
  }
  return at;
}

bool uses(const Marks& marks, std::string_view text) {
  const std::size_t question = find_mark(text, marks.question, 0, marks.at_line_start);
  return question != std::string_view::npos &&
         find_mark(text, marks.answer, question, marks.at_line_start) != std::string_view::npos;
}

/// The end of the answer that begins at `begin`.
std::size_t end_of_answer(const Marks& marks, std::string_view text, std::size_t begin) {
  std::size_t next = std::min(find_mark(text, marks.question, begin, marks.at_line_start),
                              find_mark(text, marks.answer, begin, marks.at_line_start));
  for (const std::string_view other : marks.others) {
    next = std::min(next, find_mark(text, other, begin, marks.at_line_start));
  }
  if (next == std::string_view::npos) {
    return text.size();
  }
  const std::size_t last = text.substr(begin, next - begin).find_last_not_of(kSpace);
  return last == std::string_view::npos ? begin : begin + last + 1;
}

}  // namespace

bool has_marks(RowKind kind, std::string_view text) {
  const std::vector<Marks> all = marks_of(kind);
  return std::any_of(all.begin(), all.end(), [&](const Marks& marks) { return uses(marks, text); });
}

std::vector<Range> find_answers(RowKind kind, std::string_view text) {
  std::vector<Range> out;
  for (const Marks& marks : marks_of(kind)) {
    if (!uses(marks, text)) {
      continue;
    }
    for (std::size_t at = 0; (at = find_mark(text, marks.answer, at, marks.at_line_start)) != std::string_view::npos;) {
      const std::size_t begin = at + marks.answer.size();
      at = end_of_answer(marks, text, begin);
      out.push_back({begin, at});
    }
    return out;
  }
  return out;
}

}  // namespace lora_dist
