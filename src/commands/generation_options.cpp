// Generation options, from the command line.
#include "src/commands/generation_options.h"

#include <cmath>

#include "src/commands/option_values.h"

namespace lora_dist {

namespace po = boost::program_options;

void describe_generation_options(CommandUse& use, GenerationOptions& options) {
  WrittenSampling& sampling = options.sampling;
  use.options.add_options()                                                                             //
      ("max-new-tokens", value_of(options.max_new_tokens, "N"), "tokens to add at most (default 128)")  //
      ("temperature", value_of(sampling.temperature, "X"),
       "0: the most probable token; 1: as the model says (default: as generation_config.json says, else 0)")  //
      ("top-p", value_of(sampling.top_p, "X"),
       "sample among the most probable tokens that together reach probability X (default: generation_config.json, else 1: "
       "all)")  //
      ("top-k", value_of(sampling.top_k, "N"),
       "sample among the N most probable tokens (default: generation_config.json, 50 where it samples, else 0: all)")  //
      ("repetition-penalty", value_of(sampling.repetition_penalty, "X"),
       "above 1: tokens that were there already become less probable (default: as generation_config.json says, else 1)")  //
      ("ignore-generation-config", po::bool_switch(&options.ignore_generation_config),
       "neither stop at the tokens of the folder's generation_config.json nor sample as it says")  //
      ("seed", value_of(options.seed, "N"), "of sampling (default 42)");
}

void check_generation_options(const GenerationOptions& options) {
  const WrittenSampling& sampling = options.sampling;
  if (options.max_new_tokens < 1) {
    fail_usage(fmt::format("--max-new-tokens must be at least 1 (got {})", options.max_new_tokens));
  }
  if (sampling.temperature && (!(*sampling.temperature >= 0.0) || std::isinf(*sampling.temperature))) {
    fail_usage(fmt::format("--temperature must be at least 0 (got {})", *sampling.temperature));
  }
  if (sampling.top_p && !(*sampling.top_p > 0.0 && *sampling.top_p <= 1.0)) {
    fail_usage(fmt::format("--top-p must be above 0 and at most 1 (got {})", *sampling.top_p));
  }
  if (sampling.top_k && *sampling.top_k < 0) {
    fail_usage(fmt::format("--top-k must be at least 0 (got {})", *sampling.top_k));
  }
  if (sampling.repetition_penalty && (!(*sampling.repetition_penalty > 0.0) || std::isinf(*sampling.repetition_penalty))) {
    fail_usage(fmt::format("--repetition-penalty must be above 0 (got {})", *sampling.repetition_penalty));
  }
  if (options.seed < 0) {
    fail_usage(fmt::format("--seed must be at least 0 (got {})", options.seed));
  }
}

SamplingOptions sampling_options(const GenerationOptions& options, const GenerationConfig& generation, const Console& console) {
  SamplingOptions chosen;
  chosen.max_new_tokens = options.max_new_tokens;
  chosen.seed = static_cast<std::uint64_t>(options.seed);
  apply_generation_config(generation, options.sampling, chosen);
  SamplingOptions alone;
  apply_generation_config({}, options.sampling, alone);
  if (const std::string how = describe_sampling(chosen); how != describe_sampling(alone)) {
    console.note(fmt::format("text is generated as {} says: {} (--ignore-generation-config: {})", generation.file, how,
                             describe_sampling(alone).empty() ? "the most probable token" : describe_sampling(alone)));
  }
  return chosen;
}

}  // namespace lora_dist
