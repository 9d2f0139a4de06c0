// The table of pre-tokenizers (contract: llama.cpp, src/llama-vocab.cpp; the expressions are those of the models' own
// tokenizer.json).
#include "src/io/gguf_pre_tokenizer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <vector>

namespace lora_dist {
namespace {

using nlohmann::json;

constexpr const char* kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kGpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr const char* kGpt4o =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kTekken = R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|)"
                                R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|)"
                                R"(\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kPunctuation = R"([\p{P}\$\+<=>\^~\|]+)";

constexpr auto kPreTokenizers = std::to_array<GgufPreTokenizer>(
    {{.name = "llama-bpe", .patterns = {kLlama3}, .adds_bos = true, .ignores_merges = true},
     {.name = "llama-v3", .patterns = {kLlama3}, .adds_bos = true, .ignores_merges = true},
     {.name = "llama3", .patterns = {kLlama3}, .adds_bos = true, .ignores_merges = true},
     {.name = "qwen2", .patterns = {kQwen2}, .normalizes = true, .tokenizer_class = "Qwen2Tokenizer"},
     {.name = "deepseek-r1-qwen", .patterns = {kQwen2}, .normalizes = true, .tokenizer_class = "Qwen2Tokenizer"},
     {.name = "stablelm2", .patterns = {kQwen2}, .normalizes = true, .model_type = "stablelm"},
     {.name = "dbrx", .patterns = {kLlama3}},
     {.name = "glm4", .patterns = {kLlama3}},
     {.name = "chatglm-bpe", .patterns = {kLlama3}},
     {.name = "gpt-4o", .patterns = {kGpt4o}},
     {.name = "tekken", .patterns = {kTekken}, .adds_bos = true, .ignores_merges = true},
     {.name = "gpt-2"},
     {.name = "smollm", .digits_alone = true},
     {.name = "exaone", .digits_alone = true},
     {.name = "refact", .digits_alone = true, .model_type = "granite"},
     {.name = "starcoder", .digits_alone = true, .model_type = "starcoder2"},
     {.name = "command-r", .digits_alone = true, .normalizes = true, .model_type = "cohere2"},
     {.name = "exaone4"},
     {.name = "olmo", .normalizes = true},
     {.name = "default", .patterns = {kPunctuation, kGpt2, "\\p{N}+", "[0-9][0-9][0-9]"}}});

json byte_level(bool use_regex) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", use_regex}};
}

json split(const char* pattern) {
  return {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
}

}  // namespace

std::span<const GgufPreTokenizer> gguf_pre_tokenizers() { return kPreTokenizers; }

json steps_of(const GgufPreTokenizer& pre) {
  json steps = json::array();
  if (pre.digits_alone) {
    steps.push_back({{"type", "Digits"}, {"individual_digits", true}});
  }
  for (const char* pattern : pre.patterns) {
    if (pattern != nullptr) {
      steps.push_back(split(pattern));
    }
  }
  steps.push_back(byte_level(pre.patterns[0] == nullptr));
  return steps.size() == 1 ? steps[0] : json{{"type", "Sequence"}, {"pretokenizers", steps}};
}

json normalizer_of(const GgufPreTokenizer& pre) { return pre.normalizes ? json{{"type", "NFC"}} : json(nullptr); }

const GgufPreTokenizer& pre_tokenizer_of(const GgufFile& file) {
  const std::string* name = file.text("tokenizer.ggml.pre");
  if (name == nullptr) {
    file.fail(
        "key tokenizer.ggml.pre is missing, so the pre-tokenizer is unknown; convert the model again with a current llama.cpp");
  }
  const auto* const found = std::ranges::find(kPreTokenizers, std::string_view(*name), &GgufPreTokenizer::name);
  if (found == kPreTokenizers.end()) {
    std::vector<std::string_view> known;
    std::ranges::transform(kPreTokenizers, std::back_inserter(known), &GgufPreTokenizer::name);
    file.fail(
        fmt::format("tokenizer.ggml.pre is \"{}\", a pre-tokenizer that is not known ({} are); use the model's Hugging Face "
                    "folder, or train on rows of input_ids with a GGUF file that has no vocabulary",
                    shown_gguf_text(*name), fmt::join(known, ", ")));
  }
  return *found;
}

}  // namespace lora_dist
