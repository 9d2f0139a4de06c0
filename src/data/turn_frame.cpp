// Converts tokens to text, by spans of equal training flag.
#include "src/data/turn_frame.h"

#include <array>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

namespace lora_dist {
namespace {

using json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 3> kWords = {"QUESTION", "ANSWER", "TEXT"};

/// The text of consecutive tokens with the same training flag.
struct Segment {
  std::string text;
  bool trained = false;
};

std::vector<Segment> segments_of(const TokenizedRow& sample, const Tokenizer& tokenizer) {
  std::vector<Segment> out;
  StreamDecoder decoder;
  decoder.tokenizer = &tokenizer;
  decoder.skip_special = false;
  for (std::size_t i = 0; i < sample.input_ids.size(); ++i) {
    const bool trained = i > 0 && sample.labels[i] != kNotTrained;
    if (out.empty() || out.back().trained != trained) {
      out.push_back({{}, trained});
    }
    out.back().text += push(decoder, sample.input_ids[i]);
  }
  if (!out.empty()) {
    out.back().text += finish(decoder);
  }
  return out;
}

std::string in_quotes(std::string_view text) {
  return text.empty() ? std::string() : json(text).dump(-1, ' ', false, json::error_handler_t::replace) + " ";
}

/// Prints placeholder words bare and the text between them in quotes.
std::string shown(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    std::size_t at = text.size();
    std::string_view word;
    for (const std::string_view each : kWords) {
      if (const std::size_t found = text.find(each); found < at) {
        at = found;
        word = each;
      }
    }
    out += in_quotes(text.substr(0, at));
    out += word.empty() ? "" : std::string(word) + " ";
    text.remove_prefix(at + word.size());
  }
  return out;
}

}  // namespace

std::string describe_special_tokens(const Tokenizer& tokenizer) {
  const auto part = [&](const std::vector<std::int32_t>& ids, const char* where, const std::string& reason) {
    std::string tokens;
    for (const std::int32_t id : ids) {
      tokens += token_text(tokenizer, id) + " ";
    }
    return (tokens.empty() ? "nothing " : tokens) + where + (reason.empty() ? "" : " (" + reason + ")");
  };
  return part(tokenizer.prefix, "before a text", tokenizer.prefix_reason) + ", " +
         part(tokenizer.suffix, "behind it", tokenizer.suffix_reason) + "; " +
         (tokenizer.eos ? "EOS is " + token_text(tokenizer, *tokenizer.eos) : std::string("there is no EOS"));
}

std::optional<RowContent> example_row(RowKind kind) {
  const json exchange = {{{"role", "user"}, {"content", "QUESTION"}}, {{"role", "assistant"}, {"content", "ANSWER"}}};
  switch (kind) {
    case RowKind::alpaca: {
      AlpacaRow row;
      row.instruction = "QUESTION";
      row.output = "ANSWER";
      return row;
    }
    case RowKind::qa: {
      QaRow row;
      row.question = "QUESTION";
      row.answer = "ANSWER";
      return row;
    }
    case RowKind::chat: {
      ChatRow row;
      row.messages = json::array({exchange[0], exchange[1], exchange[0], exchange[1]});
      return row;
    }
    case RowKind::text:
      return TextRow{"TEXT"};
    case RowKind::marked_text:
      return MarkedRow{"<|user|>\nQUESTION\n<|assistant|>\nANSWER"};
    case RowKind::qa_text:
      return MarkedRow{"Q: QUESTION\nA: ANSWER"};
    case RowKind::ids:
      break;
  }
  return std::nullopt;
}

std::string turn_frame(const TokenizedRow& example, const Tokenizer& tokenizer) {
  std::string out;
  for (const Segment& segment : segments_of(example, tokenizer)) {
    std::string text = shown(segment.text);
    if (segment.trained && !text.empty()) {
      text.back() = ']';
      text = '[' + text + ' ';
    }
    out += text;
  }
  if (out.find("ANSWER") == std::string::npos && out.find("TEXT") == std::string::npos) {
    return {};
  }
  out.pop_back();
  return out;
}

}  // namespace lora_dist
