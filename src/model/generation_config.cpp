// The keys that change what is generated; the others of transformers' class are about Python's own objects.
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

constexpr int kTopKOfSampling = 50;  // transformers' default

/// Keys that change what transformers generates, and the values that do not.
const std::array<std::pair<const char*, json>, 21> kNotBuilt = {{{"num_beams", 1},
                                                                 {"num_beam_groups", 1},
                                                                 {"penalty_alpha", nullptr},
                                                                 {"min_p", nullptr},
                                                                 {"top_h", nullptr},
                                                                 {"typical_p", 1.0},
                                                                 {"epsilon_cutoff", 0.0},
                                                                 {"eta_cutoff", 0.0},
                                                                 {"diversity_penalty", 0.0},
                                                                 {"no_repeat_ngram_size", 0},
                                                                 {"encoder_repetition_penalty", 1.0},
                                                                 {"bad_words_ids", nullptr},
                                                                 {"sequence_bias", nullptr},
                                                                 {"guidance_scale", nullptr},
                                                                 {"min_length", 0},
                                                                 {"min_new_tokens", nullptr},
                                                                 {"suppress_tokens", nullptr},
                                                                 {"begin_suppress_tokens", nullptr},
                                                                 {"forced_bos_token_id", nullptr},
                                                                 {"forced_eos_token_id", nullptr},
                                                                 {"exponential_decay_length_penalty", nullptr}}};

/// eos_token_id: one, or a list. Ids that the model does not have are left out, as those of config.json are.
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

void warn_of_keys_not_built(const ConfigFile& file, std::vector<std::string>& warnings) {
  std::vector<std::string> found;
  for (const auto& [key, neutral] : kNotBuilt) {
    if (file.has(key) && file.root[key] != neutral && file.root[key] != false) {
      found.emplace_back(key);
    }
  }
  if (!found.empty()) {
    warnings.push_back(fmt::format("{}: {} {} not used when text is generated; transformers would generate another text",
                                   file.path.string(), fmt::join(found, ", "), found.size() == 1 ? "is" : "are"));
  }
}

}  // namespace

GenerationConfig read_generation_config(const std::filesystem::path& folder, const ModelSpec& spec) {
  GenerationConfig config;
  ConfigFile file{folder / "generation_config.json", {}};
  std::error_code ignored;
  if (!std::filesystem::exists(file.path, ignored)) {
    return config;
  }
  file.root = read_json_file(file.path, ExitCode::model);
  if (!file.root.is_object()) {
    file.fail("must hold a JSON object");
  }
  config.found = true;
  config.eos_ids = read_eos(file, spec, config.warnings);
  config.do_sample = file.boolean_or("do_sample", false);
  config.temperature = file.has("temperature") && file.root["temperature"] == 0 ? 0.0 : number(file, "temperature");
  config.top_p = number(file, "top_p");
  config.repetition_penalty = number(file, "repetition_penalty");
  if (config.top_p && *config.top_p > 1.0) {
    file.fail(fmt::format("key \"top_p\" must be at most 1 (got {})", *config.top_p));
  }
  if (file.has("top_k")) {
    config.top_k = static_cast<int>(file.integer("top_k", 0, std::numeric_limits<int>::max()));
  }
  warn_of_keys_not_built(file, config.warnings);
  return config;
}

void apply_generation_config(const GenerationConfig& config, const WrittenSampling& written, SamplingOptions& options) {
  const bool samples = config.do_sample && !written.temperature;
  options.temperature = samples ? config.temperature.value_or(1.0) : written.temperature.value_or(0.0);
  options.top_p = written.top_p.value_or(config.top_p.value_or(1.0));
  options.top_k = written.top_k.value_or(config.top_k.value_or(config.do_sample ? kTopKOfSampling : 0));
  options.repetition_penalty = written.repetition_penalty.value_or(config.repetition_penalty.value_or(1.0));
}

std::string describe_sampling(const SamplingOptions& options) {
  std::vector<std::string> parts;
  if (options.temperature > 0.0) {
    parts.push_back(fmt::format("temperature {}", options.temperature));
    if (options.top_p < 1.0) {
      parts.push_back(fmt::format("top_p {}", options.top_p));
    }
    if (options.top_k > 0) {
      parts.push_back(fmt::format("top_k {}", options.top_k));
    }
  }
  if (options.repetition_penalty != 1.0) {
    parts.push_back(fmt::format("repetition_penalty {}", options.repetition_penalty));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace lora_dist
