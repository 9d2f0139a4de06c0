// Text with the adapter's own names, rank and base format.
#include "src/adapter/model_card.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "src/adapter/method.h"

namespace lora_dist {
namespace {

constexpr std::array<std::int64_t, 9> kVllmRanks = {1, 8, 16, 32, 64, 128, 256, 320, 512};  // values of --max-lora-rank

/// The keyword argument that makes transformers quantize the base as training did; empty if not quantized.
std::string quantization_argument(const BaseFormat& base) {
  if (!base.is_four_bit()) {
    return base.quantization == Quantization::none ? "" : ", quantization_config=BitsAndBytesConfig(load_in_8bit=True)";
  }
  return fmt::format(
      ", quantization_config=BitsAndBytesConfig(\n    load_in_4bit=True, bnb_4bit_quant_type=\"{}\", "
      "bnb_4bit_use_double_quant={})",
      name_of(base.quantization), base.nested() ? "True" : "False");
}

/// The model card's warning for users of other programs.
std::string card_warning(const BaseFormat& base) {
  const char* const merge = "`lora_dist merge` writes a plain model that computes what was trained.";
  std::string text = fmt::format(
      "The adapter was trained on the base held as {}. On the plain base, as `from_pretrained` loads it without\n"
      "`quantization_config`, it computes another function: the rounding of the base's weights, which training saw, is "
      "missing.\n",
      describe(base));
  if (base.quantization == Quantization::int8) {
    text += "bitsandbytes' int8 rounds activations as well, and so differs too. ";
  } else if (base.block_size != 64) {
    text +=
        fmt::format("bitsandbytes has blocks of 64 in `BitsAndBytesConfig`, not of {}, and so differs too. ", base.block_size);
  }
  return text + merge + "\n\n";
}

/// The largest rank of a module.
std::int64_t largest_rank(const PeftConfig& config) {
  std::int64_t rank = config.r;
  for (const auto& [pattern, own] : config.rank_pattern) {
    rank = std::max(rank, own);
  }
  return rank;
}

/// True for GPT-2 and GPT-NeoX, by the names of their modules.
bool is_without_lora_in_vllm(const PeftConfig& config) {
  return config.fan_in_fan_out || std::ranges::any_of(config.target_modules, [](const std::string& name) {
           return name.ends_with("query_key_value") || name.ends_with("c_attn");
         });
}

std::string vllm_text(const PeftConfig& config, const std::string& name) {
  const std::int64_t rank = vllm_max_lora_rank(largest_rank(config));
  if (rank == 0 || is_without_lora_in_vllm(config)) {
    return fmt::format(
        "vLLM has no LoRA for this {0}; it serves the merged model:\n\n```\nlora_dist merge --model {1} --adapter "
        "path/to/this/folder --output merged\nvllm serve merged\n```\n",
        rank == 0 ? "rank" : "model", name);
  }
  return fmt::format(
      "vLLM:\n\n```\nlora_dist export --for vllm --adapter path/to/this/folder --output adapter-for-vllm\nvllm serve {} "
      "--enable-lora --max-lora-rank {} --lora-modules adapter=adapter-for-vllm\n```\n",
      name, rank);
}

/// "LoRA adapter of rank 16, alpha 32, for the base model "m"".
std::string title(const PeftConfig& config, const std::string& name) {
  const PeftCodec& codec = method_of(config.method).peft;
  return fmt::format("{} adapter{} for the base model {}", codec.title, codec.size_text(config), name);
}

/// Commands for servers. Those that read LoRA alone get the merged model.
std::string serving_text(const PeftConfig& config, const std::string& name) {
  if (method_of(config.method).merge.weight == nullptr) {
    return "\n## Serving\n\nNeither vLLM nor llama.cpp reads this adapter, and it changes no weights that could be merged.\n";
  }
  if (config.method != Method::lora) {
    return fmt::format(
        "\n## Serving\n\nvLLM and llama.cpp read LoRA adapters alone; they serve the merged model:\n\n"
        "```\nlora_dist merge --model {0} --adapter path/to/this/folder --output merged\nvllm serve merged\n\n"
        "lora_dist export --for gguf --type q4_k_m --model {0} --adapter path/to/this/folder --output model.gguf\n"
        "llama-cli -m model.gguf\n```\n",
        name);
  }
  return fmt::format(
      "\n## Serving\n\n`lora_dist export --check --adapter path/to/this/folder --model {0}` says which of these programs take "
      "the "
      "adapter.\n\nThe merged model as a GGUF file, for llama.cpp, Ollama and others:\n\n"
      "```\nlora_dist export --for gguf --type q4_k_m --model {0} --adapter path/to/this/folder --output model.gguf\n"
      "llama-cli -m model.gguf\n```\n\n"
      "llama.cpp, beside the base as a GGUF file:\n\n"
      "```\nlora_dist export --for llama.cpp --model {0} --adapter path/to/this/folder --output adapter.gguf\n"
      "llama-cli -m base.gguf --lora adapter.gguf\n```\n\n{1}",
      name, vllm_text(config, name));
}

/// How Python programs load the adapter. `name`: of the base, quoted.
std::string python_text(const PeftConfig& config, const std::string& name, const std::optional<BaseFormat>& base) {
  if (method_of(config.method).part == TrainedPart::sublayers) {
    return fmt::format(
        "With the adapters library (adapterhub.ml):\n\n"
        "```python\nimport adapters\nfrom transformers import AutoModelForCausalLM\n\n"
        "model = AutoModelForCausalLM.from_pretrained({})\nadapters.init(model)\n"
        "model.load_adapter(\"path/to/this/folder\", set_active=True)\n```\n\n",
        name);
  }
  const bool quantized = base && base->quantization != Quantization::none;
  return fmt::format(
      "With Hugging Face PEFT:\n\n"
      "```python\nfrom peft import PeftModel\nfrom transformers import AutoModelForCausalLM{1}\n\n"
      "base = AutoModelForCausalLM.from_pretrained({0}{2})\nmodel = PeftModel.from_pretrained(base, "
      "\"path/to/this/folder\")\n```\n\n",
      name, quantized ? ", BitsAndBytesConfig" : "", quantized ? quantization_argument(*base) : "");
}

}  // namespace

std::int64_t vllm_max_lora_rank(std::int64_t rank) {
  const auto* const found = std::ranges::find_if(kVllmRanks, [&](std::int64_t most) { return most >= rank; });
  return found == kVllmRanks.end() ? 0 : *found;
}

std::string model_card(const PeftConfig& config, const std::optional<BaseFormat>& base) {
  // Quoted as JSON, which is valid YAML and Python.
  const std::string name =
      nlohmann::json(config.base_model_name_or_path).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  const bool quantized = base && base->quantization != Quantization::none;
  return fmt::format(
      "---\nbase_model: {0}\nlibrary_name: {1}\npipeline_tag: text-generation\ntags:\n- {2}\n---\n\n"
      "# {3}\n\nTrained with lora_dist.\n\n{4}{5}"
      "With lora_dist{6}:\n\n```\nlora_dist generate --model {0} --adapter path/to/this/folder --prompt \"...\"\n```\n{7}",
      name, method_of(config.method).part == TrainedPart::sublayers ? "adapters" : "peft", word_of(kMethods, config.method),
      title(config, name), quantized ? card_warning(*base) : "", python_text(config, name, base),
      base ? fmt::format(", which holds the base as it was trained ({})", describe(*base)) : "", serving_text(config, name));
}

}  // namespace lora_dist
