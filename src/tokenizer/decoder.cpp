// After the decoders of tokenizers.
#include "src/tokenizer/decoder.h"

#include "src/core/utf8.h"
#include "src/tokenizer/byte_alphabet.h"
#include "src/tokenizer/overloaded.h"

namespace lora_dist {
namespace {

std::vector<std::string> fall_back(const std::vector<std::string>& tokens) {
  std::vector<std::string> out;
  std::string bytes;
  const auto flush = [&] {
    if (is_utf8(bytes)) {
      out.push_back(bytes);
    } else {
      out.insert(out.end(), bytes.size(), std::string(kReplacementCharacter));
    }
    bytes.clear();
  };
  for (const std::string& token : tokens) {
    if (const int byte = byte_of_token(token); byte >= 0) {
      bytes.push_back(static_cast<char>(byte));
      continue;
    }
    if (!bytes.empty()) {
      flush();
    }
    out.push_back(token);
  }
  if (!bytes.empty()) {
    flush();
  }
  return out;
}

std::string strip(const StripStep& step, std::string_view token) {
  for (std::size_t i = 0; i < step.start && token.starts_with(step.content); ++i) {
    token.remove_prefix(step.content.size());
  }
  for (std::size_t i = 0; i < step.stop && token.ends_with(step.content); ++i) {
    token.remove_suffix(step.content.size());
  }
  return std::string(token);
}

std::string joined(const std::vector<std::string>& tokens) {
  std::string out;
  for (const std::string& token : tokens) {
    out += token;
  }
  return out;
}

std::string from_byte_level(const std::vector<std::string>& tokens) {
  std::string bytes;
  for (const std::string& token : tokens) {
    bytes += from_byte_alphabet(token);
  }
  return is_utf8(bytes) ? bytes : to_utf8(bytes);
}

}  // namespace

int byte_of_token(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') {
    return -1;
  }
  int value = 0;
  for (const char c : token.substr(3, 2)) {
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                             : -1;
    if (digit < 0) {
      return -1;
    }
    value = value * 16 + digit;
  }
  return value;
}

std::string decode_tokens(const std::vector<DecodeStep>& steps, std::vector<std::string> tokens) {
  for (const DecodeStep& step : steps) {
    std::visit(Overloaded{[&](const ReplaceStep& s) {
                            for (std::string& token : tokens) {
                              token = replace_all(s, token);
                            }
                          },
                          [&](const ByteFallbackStep&) { tokens = fall_back(tokens); },
                          [&](const FuseStep&) { tokens = {joined(tokens)}; },
                          [&](const FromByteLevelStep&) { tokens = {from_byte_level(tokens)}; },
                          [&](const SuffixStep& s) {
                            for (std::size_t i = 0; i < tokens.size(); ++i) {
                              tokens[i] = replace_all(tokens[i], s.suffix, i + 1 < tokens.size() ? " " : "");
                            }
                          },
                          [&](const StripStep& s) {
                            for (std::string& token : tokens) {
                              token = strip(s, token);
                            }
                          },
                          [&](const MetaspaceStep& s) {
                            for (std::size_t i = 0; i < tokens.size(); ++i) {
                              const bool drop = i == 0 && s.scheme != PrependScheme::never;
                              tokens[i] = replace_all(tokens[i], s.replacement, drop ? "" : " ");
                            }
                          }},
               step);
  }
  return joined(tokens);
}

}  // namespace lora_dist
