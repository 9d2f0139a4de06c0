// The table of classes, and AutoTokenizer's choice among them.
#include "src/tokenizer/tokenizer_class.h"

#include <algorithm>
#include <array>

#include "src/io/file.h"
#include "src/tokenizer/class_pipelines.h"
#include "src/tokenizer/json_fields.h"

namespace lora_dist {
namespace {

constexpr DefaultToken kLlama[] = {{"unk_token", "<unk>"}, {"bos_token", "<s>"}, {"eos_token", "</s>"}};
constexpr DefaultToken kCodeLlama[] = {{"unk_token", "<unk>"},
                                       {"bos_token", "<s>"},
                                       {"eos_token", "</s>"},
                                       {"prefix_token", "\xE2\x96\x81<PRE>"},
                                       {"middle_token", "\xE2\x96\x81<MID>"},
                                       {"suffix_token", "\xE2\x96\x81<SUF>"},
                                       {"eot_token", "\xE2\x96\x81<EOT>"},
                                       {"fill_token", "<FILL_ME>"}};
constexpr DefaultToken kGemma[] = {
    {"unk_token", "<unk>"}, {"bos_token", "<bos>"}, {"eos_token", "<eos>"}, {"pad_token", "<pad>"}, {"mask_token", "<mask>"}};
constexpr DefaultToken kGpt2[] = {
    {"unk_token", "<|endoftext|>"}, {"bos_token", "<|endoftext|>"}, {"eos_token", "<|endoftext|>"}, {"pad_token", nullptr}};
constexpr DefaultToken kGptNeoX[] = {
    {"unk_token", "<|endoftext|>"}, {"bos_token", "<|endoftext|>"}, {"eos_token", "<|endoftext|>"}, {"pad_token", "<|padding|>"}};
constexpr DefaultToken kQwen2[] = {
    {"unk_token", "<|endoftext|>"}, {"bos_token", nullptr}, {"eos_token", "<|endoftext|>"}, {"pad_token", "<|endoftext|>"}};
constexpr DefaultToken kCohere[] = {
    {"unk_token", "<UNK>"}, {"bos_token", "<BOS_TOKEN>"}, {"eos_token", "<|END_OF_TURN_TOKEN|>"}, {"pad_token", "<PAD>"},
    {"cls_token", "<CLS>"}, {"sep_token", "<SEP>"},       {"mask_token", "<MASK_TOKEN>"}};

const std::array<TokenizerClass, 10> kClasses = {{
    {.name = "TokenizersBackend"},
    {.name = "LlamaTokenizer", .build = llama_pipeline, .defaults = kLlama, .bos_in_4 = true},
    {.name = "CodeLlamaTokenizer",
     .build = code_llama_pipeline,
     .defaults = kCodeLlama,
     .own_affixes = true,
     .adds_bos = true,
     .bos_in_4 = true},
    {.name = "GemmaTokenizer", .build = gemma_pipeline, .defaults = kGemma, .bos_in_4 = true},
    {.name = "GPT2Tokenizer", .build = gpt2_pipeline, .defaults = kGpt2, .reads_vocab_and_merges = true},
    {.name = "CodeGenTokenizer", .build = gpt2_pipeline, .defaults = kGpt2, .reads_vocab_and_merges = true},
    {.name = "GPTNeoXTokenizer",
     .build = gpt_neox_pipeline,
     .defaults = kGptNeoX,
     .reads_vocab_and_merges = true,
     .own_affixes = true,
     .bos_in_4 = false},
    {.name = "Qwen2Tokenizer",
     .build = qwen2_pipeline,
     .defaults = kQwen2,
     .reads_vocab_and_merges = true,
     .plain_special = true},
    {.name = "Qwen3_5Tokenizer", .build = qwen3_5_pipeline, .defaults = kQwen2},
    {.name = "CohereTokenizer",
     .build = cohere_pipeline,
     .defaults = kCohere,
     .reads_vocab_and_merges = true,
     .all_special = true,
     .bos_in_4 = true},
}};

/// The class of a model_type (TOKENIZER_MAPPING_NAMES); sure: overrides the class of tokenizer_config.json
/// (MODELS_WITH_INCORRECT_HUB_TOKENIZER_CLASS). TokenizersBackend always does.
struct ModelClass {
  std::string_view model_type, name;
  bool sure = false;
};
constexpr ModelClass kModelClasses[] = {{"mistral", "TokenizersBackend"},
                                        {"ministral", "TokenizersBackend"},
                                        {"ministral3", "TokenizersBackend"},
                                        {"mistral3", "TokenizersBackend"},
                                        {"glm", "TokenizersBackend"},
                                        {"glm4", "TokenizersBackend"},
                                        {"granite", "TokenizersBackend"},
                                        {"hyperclovax", "TokenizersBackend", true},
                                        {"internlm3", "TokenizersBackend", true},
                                        {"nemotron", "TokenizersBackend", true},
                                        {"olmo2", "TokenizersBackend"},
                                        {"olmo3", "TokenizersBackend"},
                                        {"phi3", "TokenizersBackend", true},
                                        {"stablelm", "TokenizersBackend"},
                                        {"cohere", "CohereTokenizer"},
                                        {"cohere2", "CohereTokenizer"},
                                        {"gemma", "GemmaTokenizer"},
                                        {"gemma2", "GemmaTokenizer"},
                                        {"gemma3", "GemmaTokenizer"},
                                        {"gemma3_text", "GemmaTokenizer"},
                                        {"gpt2", "GPT2Tokenizer"},
                                        {"gpt_neox", "GPTNeoXTokenizer"},
                                        {"olmo", "GPTNeoXTokenizer"},
                                        {"qwen2", "Qwen2Tokenizer", true},
                                        {"qwen3", "Qwen2Tokenizer"},
                                        {"starcoder2", "GPT2Tokenizer"}};

const TokenizerClass* find_class(std::string_view name) {
  const auto found = std::find_if(kClasses.begin(), kClasses.end(), [&](const auto& one) { return one.name == name; });
  return found == kClasses.end() ? nullptr : &*found;
}

const TokenizerClass& backend() { return kClasses[0]; }

bool is_backend(std::string_view name) {
  return name == "TokenizersBackend" || name == "PreTrainedTokenizer" || name == "PythonBackend" || name == "BloomTokenizer";
}

/// A class outside the table: of another model, or of code in the folder.
const TokenizerClass& class_of_name(const std::string& name, const FolderFiles& files, std::vector<std::string>& notes) {
  if (const TokenizerClass* found = find_class(name)) {
    return *found;
  }
  if (!is_backend(name) && files.source == VocabularySource::tokenizer_json) {
    notes.push_back("the tokenizer class " + name.substr(0, 100) + " is not known; tokenizer.json is used as it stands");
  }
  return backend();
}

bool has_program(const FolderFiles& files) {
  const auto& map = member(files.config, "auto_map", {files.config_file(), ""});
  return map.is_array() || (map.is_object() && map.contains("AutoTokenizer") && !map["AutoTokenizer"].is_null());
}

/// transformers 5's check for vocabularies that LlamaTokenizer would split wrongly.
bool mentions_byte_level(const FolderFiles& files) {
  return files.source == VocabularySource::tokenizer_json &&
         read_text_file(files.vocabulary_file(), ExitCode::model).find("\"ByteLevel\"") != std::string::npos;
}

/// tokenizer_class of tokenizer_config.json, else of config.json, without "Fast"; empty if absent.
std::string named_class(const FolderFiles& files) {
  const JsonLocation location{files.config_file(), ""};
  std::string named;
  if (!member(files.config, "tokenizer_class", location).is_null()) {
    named = text_member(files.config, "tokenizer_class", location);
  }
  if (named.empty()) {
    named = files.model_tokenizer_class;
  }
  return named.ends_with("Fast") ? named.substr(0, named.size() - 4) : named;
}

const TokenizerClass& choose(const FolderFiles& files, const std::string& named, std::vector<std::string>& notes) {
  const auto* of_model = std::find_if(std::begin(kModelClasses), std::end(kModelClasses),
                                      [&](const ModelClass& one) { return one.model_type == files.model_type; });
  const bool registered = of_model != std::end(kModelClasses);
  if (named.empty()) {
    return registered ? *find_class(of_model->name) : backend();
  }
  if (has_program(files)) {
    return class_of_name(named, files, notes);
  }
  if (named == "LlamaTokenizer" && !(registered && of_model->sure) && mentions_byte_level(files)) {
    return backend();
  }
  if (!registered || of_model->name == named) {
    return class_of_name(named, files, notes);
  }
  if (is_backend(of_model->name)) {
    return backend();
  }
  return of_model->sure ? *find_class(of_model->name) : class_of_name(named, files, notes);
}

}  // namespace

const TokenizerClass* tokenizer_class_of_4(const FolderFiles& files) {
  const std::string named = named_class(files);
  if (!named.empty()) {
    return find_class(named);
  }
  return find_class(files.model_type == "llama" || files.model_type == "mistral" ? "LlamaTokenizer"
                    : files.model_type == "gemma"                                ? "GemmaTokenizer"
                    : files.model_type == "gpt_neox"                             ? "GPTNeoXTokenizer"
                                                                                 : "");
}

const TokenizerClass& choose_tokenizer_class(const FolderFiles& files, std::vector<std::string>& notes) {
  const std::string named = named_class(files);
  if (named.empty() && files.model_type.empty() && files.source == VocabularySource::vocab_and_merges) {
    return *find_class("GPT2Tokenizer");  // the class of vocab.json with merges.txt
  }
  const TokenizerClass& chosen = choose(files, named, notes);
  if (!named.empty() && chosen.build != nullptr && chosen.name != named) {
    notes.push_back("the folder names " + named.substr(0, 100) + ", but transformers 5 loads a " + files.model_type +
                    " model with " + std::string(chosen.name) + ", and so the ids are here");
  }
  return chosen;
}

ClassArguments class_arguments(const FolderFiles& files, const TokenizerClass& tokenizer_class) {
  ClassArguments out;
  out.add_prefix_space = config_flag(files, "add_prefix_space");
  // The default of `legacy`: false for a class of the table, true for TokenizersBackend with a tokenizer.model.
  const auto legacy = files.config.find("legacy");
  out.legacy = legacy == files.config.end() ? tokenizer_class.build == nullptr : config_flag(files, "legacy").value_or(false);
  return out;
}

}  // namespace lora_dist
