// Rules for each reader. They look at adapter_config.json as it is, since some of what they find cannot be read here.
#include "src/convert/adapter_readers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "src/adapter/adapter_folders.h"
#include "src/adapter/bottleneck_folder.h"
#include "src/adapter/method.h"
#include "src/adapter/model_card.h"
#include "src/adapter/path_pattern.h"
#include "src/core/error.h"
#include "src/io/gguf_architecture.h"
#include "src/io/safetensors.h"
#include "src/io/strict_json.h"

namespace lora_dist {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::string_view kBecomesLora = "ADALORA";  // written as plain LoRA
constexpr const char* kMerge = "merge the adapter (lora_dist merge, or merge_and_unload of PEFT) and serve the merged model";

/// True unless the key is missing, null, false, or empty.
bool is_on(const json& config, const char* key) {
  const auto found = config.find(key);
  return found != config.end() && !found->is_null() && *found != false && !(found->is_structured() && found->empty()) &&
         !(found->is_string() && found->get<std::string>().empty());
}

std::string text_of(const json& config, const char* key) {
  const auto found = config.find(key);
  return found != config.end() && found->is_string() ? found->get<std::string>() : std::string();
}

bool has_tensor_with(const AdapterFacts& facts, std::string_view part) {
  return std::ranges::any_of(facts.tensors, [&](const std::string& name) { return name.find(part) != std::string::npos; });
}

/// The types besides LORA that this program merges.
bool is_merged_type(const std::string& type) {
  return std::ranges::any_of(adapter_methods(), [&](const AdapterMethod* row) { return row->peft.type == type; });
}

/// A property that no reader but PEFT takes, as a clause; empty: none. `merged`: this program merges the adapter for the reader,
/// and so may it be of any of its methods.
std::string not_plain_lora(const AdapterFacts& facts, bool merged = false) {
  if (const std::string type = text_of(facts.config, "peft_type");
      type != "LORA" && type != kBecomesLora && !(merged && is_merged_type(type))) {
    return type.empty() ? "adapter_config.json has no peft_type" : fmt::format("its peft_type is {}", type.substr(0, 40));
  }
  for (const char* key :
       {"use_dora", "modules_to_save", "lora_bias", "layer_replication", "alora_invocation_tokens", "use_qalora", "use_bdlora",
        "trainable_token_indices", "target_parameters", "arrow_config", "kasa_config", "monteclora_config", "velora_config"}) {
    if (is_on(facts.config, key) && !(merged && std::string_view(key) == "use_dora")) {
      return fmt::format("it has {}", key);
    }
  }
  if (const std::string bias = text_of(facts.config, "bias"); !bias.empty() && bias != "none") {
    return "it trains biases (bias = " + bias.substr(0, 40) + ")";
  }
  constexpr std::array<std::pair<const char*, const char*>, 6> kKinds = {{{"lora_magnitude_vector", "it has DoRA's magnitudes"},
                                                                          {"modules_to_save", "it has whole trained modules"},
                                                                          {"trainable_tokens", "it has trained tokens"},
                                                                          {"lora_embedding_", "it adapts the embedding"},
                                                                          {"lm_head.lora_", "it adapts the head"},
                                                                          {"embed_out.lora_", "it adapts the head"}}};
  for (const auto& [part, what] : kKinds) {
    if (has_tensor_with(facts, part) && !(merged && std::string_view(part) == "lora_magnitude_vector")) {
      return what;
    }
  }
  return {};
}

/// True for kinds of PEFT that put virtual tokens before every text.
bool has_virtual_tokens(const AdapterFacts& facts) {
  constexpr std::array<std::string_view, 3> kTypes = {"PROMPT_TUNING", "PREFIX_TUNING", "P_TUNING"};
  return std::ranges::find(kTypes, text_of(facts.config, "peft_type")) != kTypes.end();
}

/// An initialisation that changed the base, which only PEFT repeats.
std::string changed_base(const AdapterFacts& facts) {
  const std::string init = text_of(facts.config, "init_lora_weights");
  for (const char* changing : {"pissa", "olora", "corda", "loftq", "lora_ga"}) {
    if (init.starts_with(changing)) {
      return init;
    }
  }
  return {};
}

/// One that this program repeats too, to make plain LoRA of the adapter.
bool is_repeated(const AdapterFacts& facts) {
  const std::string init = changed_base(facts);
  const bool plain = text_of(facts.config, "peft_type") == "LORA" && !facts.config.value("use_dora", false);
  return plain && (init == "pissa" || init == "olora");
}

std::string targets_of_text(const json& config) { return text_of(config, "target_modules").substr(0, 60); }

/// A whole copy of embedding or head, which PEFT writes if it assumes that they changed; empty: none.
std::string copied_table(const AdapterFacts& facts) {
  for (const std::string& name : facts.tensors) {
    for (const char* table : {"embed_tokens.weight", "lm_head.weight", "embed_in.weight", "embed_out.weight", "wte.weight"}) {
      if (name.ends_with(table)) {
        return name;
      }
    }
  }
  return {};
}

/// target_modules that PEFT cannot use, though the names of the tensors say what is adapted.
ReaderVerdict peft_verdict(const AdapterFacts& facts) {
  const std::string type = text_of(facts.config, "peft_type");
  if (type.empty()) {
    return {Fit::no, "adapter_config.json has no peft_type; save the adapter again"};
  }
  const auto found = facts.config.find("target_modules");
  const json targets = found == facts.config.end() ? json() : *found;
  if (type == kBecomesLora) {
    return {Fit::exported, "as plain LoRA; PEFT also reads the folder as it is"};
  }
  if (type != "LORA" || (targets.is_array() && !targets.empty())) {
    return {};
  }
  if (targets.is_null()) {
    return {Fit::exported, "target_modules is null, and PEFT would take its own default for the family"};
  }
  if (targets.is_array()) {
    return {Fit::exported, "target_modules is an empty list, for which PEFT finds no module"};
  }
  const std::string text = targets_of_text(facts.config);
  if (const std::string problem = problem_of_pattern(text_of(facts.config, "target_modules")); !problem.empty()) {
    return {Fit::exported, fmt::format("target_modules \"{}\" is no regular expression ({})", text, problem)};
  }
  return {};
}

ReaderVerdict vllm_verdict(const AdapterFacts& facts) {
  constexpr std::array<std::string_view, 4> kWithoutLora = {"gpt2", "gpt_neox", "stablelm",
                                                            "starcoder2"};  // classes of vLLM 0.19
  if (std::ranges::find(kWithoutLora, facts.model_type) != kWithoutLora.end()) {
    return {Fit::no, fmt::format("vLLM has no LoRA for models of type {}; {}", facts.model_type, kMerge)};
  }
  if (vllm_max_lora_rank(facts.rank) == 0) {
    return {Fit::no, fmt::format("rank {} is above 512, vLLM's largest --max-lora-rank; {}", facts.rank, kMerge)};
  }
  for (const char* key : {"rank_pattern", "alpha_pattern"}) {
    if (is_on(facts.config, key)) {
      return {Fit::exported, fmt::format("vLLM 0.19 ignores {} and would scale these modules otherwise", key)};
    }
  }
  if (!facts.config.contains("target_modules") || !facts.config["target_modules"].is_array()) {
    return {Fit::exported,
            fmt::format("vLLM wants target_modules as a list of names (it is \"{}\")", targets_of_text(facts.config))};
  }
  const std::int64_t most = vllm_max_lora_rank(facts.rank);
  return {Fit::as_is, most > 16 ? fmt::format("with --max-lora-rank {}", most) : ""};
}

ReaderVerdict llama_cpp_verdict(const AdapterFacts& facts) {
  if (!facts.model_type.empty() && find_gguf_architecture(facts.model_type) == nullptr) {
    return {Fit::no, fmt::format("models of type {} cannot be written as GGUF by this program ({} can); use llama.cpp's own "
                                 "converter",
                                 facts.model_type, gguf_model_types())};
  }
  if (is_on(facts.config, "use_rslora")) {
    return {Fit::exported, "llama.cpp's converter ignores rsLoRA and would scale by alpha / r"};
  }
  if (is_on(facts.config, "alpha_pattern")) {
    return {Fit::exported, "llama.cpp's converter ignores alpha_pattern"};
  }
  if (facts.config.contains("lora_alpha") && facts.config["lora_alpha"] == 0) {
    return {Fit::exported, "llama.cpp takes lora_alpha 0 as no scaling, where PEFT's update is zero"};
  }
  if (facts.model_type == "gpt2") {
    return {Fit::exported, "llama.cpp's converter turns the factors of GPT-2 as if they were weights"};
  }
  return {Fit::as_is, ""};
}

/// The family that the names of modules show.
std::string model_type_by_names(const std::vector<std::string>& tensors) {
  for (const std::string& name : tensors) {
    if (name.find("gpt_neox.layers.") != std::string::npos) {
      return "gpt_neox";
    }
    const bool in_h = name.find("transformer.h.") != std::string::npos;  // layers of GPT-2 and EXAONE
    if (in_h && (name.find(".attn.attention.") != std::string::npos || name.find(".mlp.c_fc_") != std::string::npos)) {
      return "exaone";
    }
    if (in_h && (name.find(".attn.c_") != std::string::npos || name.find(".mlp.c_fc.") != std::string::npos)) {
      return "gpt2";
    }
  }
  return {};
}

}  // namespace

AdapterFacts read_adapter_facts(const fs::path& folder, const ModelSpec* spec) {
  const fs::path config = folder / "adapter_config.json";
  if (std::error_code ignored; !fs::exists(config, ignored)) {
    throw Error(ExitCode::model, why_no_adapter(folder));
  }
  AdapterFacts facts{folder, read_json_file(config, ExitCode::model), {}, 0, {}};
  if (!facts.config.is_object()) {
    throw Error(ExitCode::model, config.string() + ": it is not an object");
  }
  for (const auto& [name, tensor] : read_safetensors_header(tensors_file(folder)).tensors) {
    facts.tensors.push_back(name);
    if (name.find(".lora_A") != std::string::npos && !tensor.shape.empty()) {
      facts.rank = std::max(facts.rank, tensor.shape[0]);
    }
  }
  facts.model_type = spec != nullptr ? spec->model_type : model_type_by_names(facts.tensors);
  return facts;
}

bool is_readable(const AdapterFacts& facts) {
  return (changed_base(facts).empty() || is_repeated(facts)) && not_plain_lora(facts, true).empty();
}

ReaderVerdict verdict_of(Reader reader, const AdapterFacts& facts) {
  if (is_bottleneck_config(facts.config)) {
    return {
        Fit::no,
        "it is a bottleneck adapter of the adapters library, which changes no weights and which no other program reads; run it "
        "with lora_dist (score, generate) or that library"};
  }
  if (reader == Reader::peft) {
    return peft_verdict(facts);
  }
  const char* name = reader == Reader::vllm ? "vLLM" : reader == Reader::llama_cpp ? "llama.cpp" : "a GGUF file";
  if (const std::string init = changed_base(facts); !init.empty() && !is_repeated(facts)) {
    return {Fit::no,
            fmt::format("init_lora_weights = {} changed the base's weights, which {} does not repeat; convert the adapter "
                        "in PEFT (save_pretrained with path_initial_model_for_weight_conversion)",
                        init.substr(0, 40), name)};
  }
  if (has_virtual_tokens(facts)) {
    return {Fit::no,
            fmt::format("it puts virtual tokens before every text (its peft_type is {}), which {} does not take, and which "
                        "no merge can hold; run it with lora_dist or PEFT",
                        text_of(facts.config, "peft_type"), name)};
  }
  const bool merges = reader == Reader::gguf;
  if (const std::string what = not_plain_lora(facts, merges); !what.empty()) {
    const bool replaces = what.starts_with("it has modules_to_save") || what.starts_with("it has trainable_token_indices");
    if (merges && replaces) {
      return {Fit::no,
              fmt::format("{}, which export does not merge; merge it (lora_dist merge, or merge_and_unload of PEFT where the "
                          "vocabulary grew) and export the merged folder without --adapter",
                          what)};
    }
    return {Fit::no, merges ? fmt::format("{}, which this program does not merge; merge it in PEFT (merge_and_unload) and export "
                                          "the merged folder without --adapter",
                                          what)
                            : fmt::format("{}, which {} does not take; {}", what, name, kMerge)};
  }
  ReaderVerdict verdict = reader == Reader::vllm ? vllm_verdict(facts) : llama_cpp_verdict(facts);
  if (text_of(facts.config, "peft_type") == kBecomesLora && verdict.fit != Fit::no) {
    verdict = {Fit::exported, fmt::format("{} takes no AdaLoRA; it is written as plain LoRA", name)};
  }
  if (is_repeated(facts) && verdict.fit != Fit::no) {
    verdict = {Fit::exported,
               fmt::format("{} does not repeat init_lora_weights = {}, which changed the base's weights; with --model "
                           "it is written as plain LoRA",
                           name, changed_base(facts))};
  }
  if (const std::string table = copied_table(facts); !table.empty() && verdict.fit != Fit::no && reader != Reader::gguf) {
    return {Fit::exported,
            fmt::format("{} does not take the copy {}; with --model it is compared with the base's and left out", name, table)};
  }
  if (reader != Reader::gguf) {
    return verdict;
  }
  return verdict.fit == Fit::no ? verdict : ReaderVerdict{Fit::exported, "the adapter is merged into the model"};
}

}  // namespace lora_dist
