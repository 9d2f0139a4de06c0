// What transformers' GPT2Tokenizer and Qwen2Tokenizer make of their files.
#include "src/tokenizer/vocabulary_files.h"

#include "src/core/error.h"
#include "src/io/file.h"
#include "src/io/strict_json.h"

namespace lora_dist {
namespace {

using nlohmann::json;

constexpr const char* kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

/// The lines but the "#version" one and empty ones. A merge itself may begin with #, so only the first line counts as that.
json read_merges(const std::filesystem::path& file) {
  const std::string text = read_text_file(file, ExitCode::model);
  json merges = json::array();
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    if (line.ends_with('\r')) {
      line.pop_back();
    }
    if (!line.empty() && !(at == 0 && line.starts_with("#version"))) {
      merges.push_back(std::move(line));
    }
    at = end + 1;
  }
  return merges;
}

json added_token(std::int64_t id, const std::string& content) {
  return {{"id", id}, {"content", content}, {"special", true}, {"normalized", false}};
}

/// Of the configuration; without any, GPT-2's one special token.
json added_tokens(const TokenizerConfig& config, const json& vocabulary) {
  json list = json::array();
  for (const AddedToken& token : config.added) {
    json one = added_token(token.id, token.content);
    one.update({{"special", token.special},
                {"normalized", token.normalized},
                {"single_word", token.single_word},
                {"lstrip", token.lstrip},
                {"rstrip", token.rstrip}});
    list.push_back(std::move(one));
  }
  const char* const end_of_text = "<|endoftext|>";
  if (list.empty() && vocabulary.is_object() && vocabulary.contains(end_of_text) && vocabulary[end_of_text].is_number_integer()) {
    list.push_back(added_token(vocabulary[end_of_text].get<std::int64_t>(), end_of_text));
  }
  return list;
}

}  // namespace

bool has_vocabulary_files(const std::filesystem::path& model_folder) {
  return std::filesystem::exists(model_folder / "vocab.json") && std::filesystem::exists(model_folder / "merges.txt");
}

json read_vocabulary_files(const std::filesystem::path& model_folder, const TokenizerConfig& config) {
  const std::string name = config.tokenizer_class.ends_with("Fast")
                               ? config.tokenizer_class.substr(0, config.tokenizer_class.size() - 4)
                               : config.tokenizer_class;
  const bool qwen2 = name == "Qwen2Tokenizer";
  if (!qwen2 && !name.empty() && name != "GPT2Tokenizer") {
    throw Error(ExitCode::model,
                (model_folder / "tokenizer_config.json").string() + ": how " + config.tokenizer_class +
                    " cuts text is not known from vocab.json and merges.txt; put the model's tokenizer.json beside "
                    "them");
  }
  json out;
  const json vocabulary = read_json_file(model_folder / "vocab.json", ExitCode::model);
  out["added_tokens"] = added_tokens(config, vocabulary);
  out["model"] = {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", read_merges(model_folder / "merges.txt")}};
  const json byte_level = {{"type", "ByteLevel"}, {"add_prefix_space", config.add_prefix_space}, {"use_regex", !qwen2}};
  out["pre_tokenizer"] = byte_level;
  if (qwen2) {
    const json split = {{"type", "Split"}, {"pattern", {{"Regex", kQwen2Pattern}}}, {"behavior", "Isolated"}};
    out["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", json::array({split, byte_level})}};
    out["normalizer"] = {{"type", "NFC"}};
  }
  out["decoder"] = byte_level;
  return out;
}

}  // namespace lora_dist
