// Makes ids and labels.
#include "src/data/tokenize.h"

#include <algorithm>

#include "src/core/error.h"
#include "src/data/marked_text.h"
#include "src/data/row_fields.h"

namespace lora_dist {
namespace {

/// Rejects ids outside [0, vocab) and labels that are neither -100 nor an id, before they are narrowed from 64 bits.
void check_range(std::span<const std::int64_t> values, std::int64_t vocab_size, const char* key, bool label,
                 std::string_view where) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if ((values[i] < 0 || values[i] >= vocab_size) && !(label && values[i] == kNotTrained)) {
      throw Error(ExitCode::data, std::string(where) + ": " + key + "[" + std::to_string(i) + "] is " +
                                      std::to_string(values[i]) + (label ? ", neither -100 nor an id of" : ", outside") +
                                      " the model's vocabulary of " + std::to_string(vocab_size) + " tokens");
    }
  }
}

void append(TokenizedRow& sample, std::span<const std::int32_t> ids, bool trained) {
  sample.input_ids.insert(sample.input_ids.end(), ids.begin(), ids.end());
  for (const std::int32_t id : ids) {
    sample.labels.push_back(trained ? id : kNotTrained);
  }
}

/// True for white space, possibly with EOS.
bool is_empty_answer(const Tokenizer& tokenizer, std::string_view answer) {
  const std::string eos = tokenizer.eos ? token_text(tokenizer, *tokenizer.eos) : "";
  const std::size_t end = eos.empty() ? std::string_view::npos : answer.find(eos);
  return is_blank(answer.substr(0, end)) && (end == std::string_view::npos || is_blank(answer.substr(end + eos.size())));
}

}  // namespace

std::int64_t trained_tokens(std::span<const std::int32_t> labels) {
  std::int64_t n = 0;
  for (std::size_t i = 1; i < labels.size(); ++i) {
    n += labels[i] != kNotTrained ? 1 : 0;
  }
  return n;
}

TokenizedRow tokenize_pieces(const Tokenizer& tokenizer, const std::vector<Piece>& pieces, bool train_all) {
  TokenizedRow sample;
  bool first = true;
  for (const Piece& piece : pieces) {
    const bool trained = (train_all && !piece.hidden) || piece.completion;
    if (!piece.text.empty()) {
      append(sample, first ? encode_prompt(tokenizer, piece.text) : encode_continuation(tokenizer, piece.text), trained);
      for (std::size_t i = 0; first && i < tokenizer.prefix.size() && i < sample.labels.size(); ++i) {
        sample.labels[i] = kNotTrained;
      }
      first = false;
    }
    const bool has_end = !sample.input_ids.empty() && sample.input_ids.back() == tokenizer.eos;
    if (piece.end_of_text && !has_end && tokenizer.eos) {
      append(sample, std::vector{*tokenizer.eos}, trained);
    }
  }
  return sample;
}

TokenizedRow sample_of_text(const Tokenizer& tokenizer, std::string_view text) {
  TokenizedRow sample;
  sample.input_ids = encode(tokenizer, text, true);
  sample.labels = sample.input_ids;
  if (tokenizer.pad && tokenizer.pad != tokenizer.eos) {
    std::replace(sample.labels.begin(), sample.labels.end(), *tokenizer.pad, kNotTrained);
  }
  return sample;
}

void train_within(TokenizedRow& sample, std::size_t first, const TokenBorders& borders, Range span) {
  for (std::size_t i = 0; i < borders.ids.size(); ++i) {
    const Range& token = borders.ranges[i];
    const bool inside = token.begin < token.end ? token.begin < span.end && token.end > span.begin
                                                : token.begin >= span.begin && token.begin < span.end;
    if (inside) {
      sample.labels[first + i] = borders.ids[i];
    }
  }
}

TokenizedRow sample_of_marked_text(const Tokenizer& tokenizer, RowKind kind, std::string_view text, bool train_all) {
  const TokenBorders borders = encode_with_borders(tokenizer, text);
  TokenizedRow sample;
  const std::vector<std::int32_t>& prefix = tokenizer.prefix;
  const bool has_prefix = borders.ids.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), borders.ids.begin());
  const std::size_t first = has_prefix ? 0 : prefix.size();
  append(sample, std::span(prefix).first(first), false);
  append(sample, borders.ids, train_all);
  bool ends_in_answer = false;
  for (const Range& answer : find_answers(kind, text)) {
    if (is_empty_answer(tokenizer, text.substr(answer.begin, answer.end - answer.begin))) {
      sample.empty_answers += train_all ? 0 : 1;
    } else {
      train_within(sample, first, borders, answer);
      ends_in_answer = answer.end == text.size();
    }
  }
  if (ends_in_answer && tokenizer.eos && sample.input_ids.back() != tokenizer.eos) {
    append(sample, std::vector{*tokenizer.eos}, true);
  }
  return sample;
}

TokenizedRow sample_of_ids(const IdsRow& row, std::int64_t vocab_size, std::string_view where) {
  if (row.input_ids.empty()) {
    throw Error(ExitCode::data, std::string(where) + ": input_ids is empty");
  }
  if (row.labels.size() != row.input_ids.size()) {
    throw Error(ExitCode::data, std::string(where) + ": " + std::to_string(row.labels.size()) + " labels for " +
                                    std::to_string(row.input_ids.size()) +
                                    " input_ids; each id has one label (-100: not trained)");
  }
  check_range(row.input_ids, vocab_size, "input_ids", false, where);
  check_range(row.labels, vocab_size, "labels", true, where);
  TokenizedRow sample;
  sample.input_ids.assign(row.input_ids.begin(), row.input_ids.end());
  sample.labels.assign(row.labels.begin(), row.labels.end());
  return sample;
}

void check_ids(std::span<const std::int32_t> ids, std::int64_t vocab_size, std::string_view where) {
  for (const std::int32_t id : ids) {
    if (id >= vocab_size) {
      throw Error(ExitCode::data, std::string(where) + ": the tokenizer gives the id " + std::to_string(id) +
                                      ", outside the model's vocabulary of " + std::to_string(vocab_size) +
                                      " tokens; are tokenizer and model of the same folder?");
    }
  }
}

}  // namespace lora_dist
