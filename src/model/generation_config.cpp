// The keys that affect generated text; other keys of transformers' class concern Python objects.
#include "src/model/generation_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <limits>
#include <utility>

#include "src/core/error.h"
#include "src/io/strict_json.h"
#include "src/model/config_file.h"

namespace lora_dist {

namespace {

using nlohmann::json;

/// An unsupported key that affects generated text in transformers.
struct KeyNotBuilt {
  const char* name;
  bool of_sampling = false;  // without effect in greedy decoding
  double neutral = 0.0;      // a neutral value in addition to null, false, 0 and empty lists
};
constexpr auto kNotBuilt = std::to_array<KeyNotBuilt>({{"num_beams", false, 1.0},
                                                       {"num_beam_groups", false, 1.0},
                                                       {"penalty_alpha"},
                                                       {"min_p", true},
                                                       {"top_h", true},
                                                       {"typical_p", true, 1.0},
                                                       {"epsilon_cutoff", true},
                                                       {"eta_cutoff", true},
                                                       {"diversity_penalty"},
                                                       {"no_repeat_ngram_size"},
                                                       {"encoder_no_repeat_ngram_size"},
                                                       {"encoder_repetition_penalty", false, 1.0},
                                                       {"bad_words_ids"},
                                                       {"force_words_ids"},
                                                       {"sequence_bias"},
                                                       {"guidance_scale", false, 1.0},
                                                       {"watermarking_config"},
                                                       {"stop_strings"},
                                                       {"min_length"},
                                                       {"min_new_tokens"},
                                                       {"suppress_tokens"},
                                                       {"begin_suppress_tokens"},
                                                       {"forced_bos_token_id"},
                                                       {"forced_eos_token_id"},
                                                       {"exponential_decay_length_penalty"}});

bool is_neutral(const json& value, const KeyNotBuilt& key) {
  return value.is_null() || value == false || (value.is_number() && (value == 0 || value == key.neutral)) ||
         (value.is_structured() && value.empty()) || value == "";
}

/// eos_token_id: an id or a list. Drops ids outside the vocabulary, like config.json's.
std::vector<std::int64_t> read_eos(const ConfigFile& file, const ModelSpec& spec, std::vector<std::string>& warnings) {
  std::vector<std::int64_t> ids;
  if (!file.has("eos_token_id")) {
    return ids;
  }
  const json& eos = file.root["eos_token_id"];
  for (const json& id : eos.is_array() ? eos : json::array({eos})) {
    if (!id.is_number_integer()) {
      file.fail(fmt::format("key \"eos_token_id\" must be an integer or a list of integers (got {})", ConfigFile::shown(eos)));
    }
    if (id < 0 || id >= spec.vocab) {
      warnings.push_back(fmt::format("{}: eos_token_id {} lies outside the vocabulary of {} and is ignored", file.path.string(),
                                     ConfigFile::shown(id), spec.vocab));
    } else {
      ids.push_back(id.get<std::int64_t>());
    }
  }
  return ids;
}

std::optional<double> number(const ConfigFile& file, const char* key) {
  return file.has(key) ? std::optional(file.positive_or(key, 1.0)) : std::nullopt;
}

void warn_of_keys_not_built(const ConfigFile& file, bool samples, std::vector<std::string>& warnings) {
  std::vector<std::string> found;
  for (const KeyNotBuilt& key : kNotBuilt) {
    if ((samples || !key.of_sampling) && file.has(key.name) && !is_neutral(file.root[key.name], key)) {
      found.emplace_back(key.name);
    }
  }
  if (!found.empty()) {
    warnings.push_back(fmt::format("{}: {} {} not used when text is generated; transformers would generate another text",
                                   file.path.string(), fmt::join(found, ", "), found.size() == 1 ? "is" : "are"));
  }
}

void read_sampling(const ConfigFile& file, GenerationConfig& config) {
  config.temperature = file.has("temperature") && file.root["temperature"] == 0 ? 0.0 : number(file, "temperature");
  config.top_p = number(file, "top_p");
  if (config.top_p && *config.top_p > 1.0) {
    file.fail(fmt::format("key \"top_p\" must be at most 1 (got {})", *config.top_p));
  }
  if (file.has("top_k")) {
    config.top_k = static_cast<int>(file.integer("top_k", 0, std::numeric_limits<int>::max()));
  }
}

}  // namespace

GenerationConfig read_generation_config(const std::filesystem::path& folder, const ModelSpec& spec) {
  GenerationConfig config;
  ConfigFile file{folder / "generation_config.json", {}};
  std::error_code ignored;
  const bool own = std::filesystem::exists(file.path, ignored);
  if (!own) {  // old folders have the same keys in config.json, as transformers allows
    file = open_config_file(folder);
  } else {
    file.root = read_json_file(file.path, ExitCode::model);
  }
  config.file = file.path.filename().string();
  if (!file.root.is_object()) {
    file.fail("must hold a JSON object");
  }
  if (own) {
    config.eos_ids = read_eos(file, spec, config.warnings);  // config.json's are read with the model
  }
  config.do_sample = file.boolean_or("do_sample", false);
  config.repetition_penalty = number(file, "repetition_penalty");
  try {
    read_sampling(file, config);
  } catch (const Error&) {
    if (config.do_sample) {  // unused otherwise
      throw;
    }
    config.temperature = config.top_p = std::nullopt;
    config.top_k = std::nullopt;
  }
  warn_of_keys_not_built(file, config.do_sample, config.warnings);
  return config;
}

}  // namespace lora_dist
