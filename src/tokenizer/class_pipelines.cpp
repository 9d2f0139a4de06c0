// One function per tokenizer class.
#include "src/tokenizer/class_pipelines.h"

#include "src/core/utf8.h"

namespace lora_dist {
namespace {

using nlohmann::json;

constexpr const char* kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen3_5Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

json sequence(const char* list, json steps) { return {{"type", "Sequence"}, {list, std::move(steps)}}; }

json byte_level(bool add_prefix_space, bool use_regex = true) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", add_prefix_space}, {"trim_offsets", true}, {"use_regex", use_regex}};
}

/// Restores spaces and bytes; with `strip`, removes the leading dummy space.
json underline_decoder(bool strip) {
  json steps = json::array({replace_step({{"String", kUnderline}}, " "), {{"type", "ByteFallback"}}, {{"type", "Fuse"}}});
  if (strip) {
    steps.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  }
  return sequence("decoders", std::move(steps));
}

json with_underlines(const char* scheme, const ClassArguments& arguments) {
  const bool space = arguments.add_prefix_space.value_or(true);
  return {{"model", {{"type", "BPE"}, {"fuse_unk", true}, {"byte_fallback", true}}},
          {"normalizer", nullptr},
          {"pre_tokenizer",
           {{"type", "Metaspace"}, {"replacement", kUnderline}, {"prepend_scheme", space ? scheme : "never"}, {"split", false}}}};
}

json of_bytes(json normalizer, json pre_tokenizer) {
  return {{"model", {{"type", "BPE"}, {"fuse_unk", false}, {"byte_fallback", false}}},
          {"normalizer", std::move(normalizer)},
          {"pre_tokenizer", std::move(pre_tokenizer)},
          {"decoder", byte_level(true)}};
}

json split_and_bytes(const char* pattern, const ClassArguments& arguments) {
  const json split = {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
  return of_bytes({{"type", "NFC"}},
                  sequence("pretokenizers", json::array({split, byte_level(arguments.add_prefix_space.value_or(false), false)})));
}

}  // namespace

json replace_step(const json& pattern, std::string_view content) {
  return {{"type", "Replace"}, {"pattern", pattern}, {"content", content}};
}

json llama_pipeline(const ClassArguments& arguments) {
  json out = with_underlines(arguments.legacy ? "always" : "first", arguments);
  out["decoder"] = underline_decoder(arguments.add_prefix_space.value_or(true));
  return out;
}

json code_llama_pipeline(const ClassArguments& arguments) {
  json out = with_underlines("first", arguments);
  out["decoder"] = underline_decoder(true);
  if (arguments.unk) {
    out["model"]["unk_token"] = *arguments.unk;
  }
  return out;
}

json gemma_pipeline(const ClassArguments& arguments) {
  json out = {{"model", {{"type", "BPE"}, {"fuse_unk", true}, {"byte_fallback", true}}},
              {"normalizer", replace_step({{"String", " "}}, kUnderline)},
              {"pre_tokenizer",
               {{"type", "Split"}, {"pattern", {{"String", " "}}}, {"behavior", "MergedWithPrevious"}, {"invert", false}}},
              {"decoder", underline_decoder(false)}};
  if (arguments.unk) {
    out["model"]["unk_token"] = *arguments.unk;
  }
  return out;
}

json gpt2_pipeline(const ClassArguments& arguments) {
  return of_bytes(nullptr, byte_level(arguments.add_prefix_space.value_or(false)));
}

json gpt_neox_pipeline(const ClassArguments& arguments) {
  return of_bytes({{"type", "NFC"}}, byte_level(arguments.add_prefix_space.value_or(false)));
}

json qwen2_pipeline(const ClassArguments& arguments) { return split_and_bytes(kQwen2Pattern, arguments); }

json qwen3_5_pipeline(const ClassArguments& arguments) { return split_and_bytes(kQwen3_5Pattern, arguments); }

json cohere_pipeline(const ClassArguments& arguments) {
  const json digits = {{"type", "Digits"}, {"individual_digits", true}};
  return of_bytes({{"type", "NFC"}},
                  sequence("pretokenizers", json::array({digits, byte_level(arguments.add_prefix_space.value_or(false))})));
}

}  // namespace lora_dist
