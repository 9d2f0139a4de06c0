// Adapters rewritten for programs that know fewer of PEFT's keys: the same update of every weight, said more plainly.
#pragma once

#include <filesystem>
#include <vector>

#include "src/adapter/peft_adapter.h"
#include "src/io/write_gguf.h"
#include "src/model/model_config.h"

namespace lora_dist {

/// `same`: every module has the rank of the largest (A gets rows and B columns of zeros); `own`: modules keep theirs, for readers
/// that divide alpha by each module's own rank.
enum class PlainRanks : std::uint8_t { same, own };

/// Without rsLoRA and patterns of alpha: alpha becomes what plain scaling needs, and B takes the factor of modules with another
/// scale. With equal ranks, factors of modules with the common scale keep their bits. target_modules become the last names of the
/// adapted modules.
PeftAdapter plain_adapter(const PeftAdapter& adapter, PlainRanks ranks);

/// True for an adapter that lora_of() makes plain LoRA.
bool becomes_lora(const PeftAdapter& adapter);
/// AdaLoRA as LoRA of the largest rank that is left: the factors diag(E) A, padded with zeros. Modules without ranks are left
/// out.
PeftAdapter lora_of(const PeftAdapter& adapter);

/// The keys of llama.cpp's LoRA file. `plain`: of plain_adapter() with own ranks.
std::vector<GgufKey> gguf_adapter_keys(const PeftAdapter& plain, const ModelSpec& spec, const std::string& name);

/// A factor as the file has it, f32: "blk.0.attn_q.weight.lora_a" [r, in] and "...lora_b" [out, r], whose rows lie like those of
/// the base's weight.
struct GgufFactor {
  GgufTensorToWrite written;
  std::vector<float> values;
};
/// Throws Error(model) naming a module that has no place in the architecture.
std::vector<GgufFactor> gguf_adapter_factors(const PeftAdapter& plain, const ModelSpec& spec,
                                             const std::filesystem::path& folder);

}  // namespace lora_dist
