// Refusals that name the key and the way out.
#include "src/job/full_setup.h"

#include <fmt/format.h>

#include <optional>

#include "src/adapter/full.h"
#include "src/adapter/method.h"
#include "src/base/prequantized.h"
#include "src/core/error.h"
#include "src/io/gguf_model.h"

namespace lora_dist {

bool trains_base(const Config& config) { return method_of(config.adapter.method.first).part == TrainedPart::base; }

namespace {

[[noreturn]] void refuse_full(const std::string& why) { throw Error(ExitCode::usage, "adapter.method = \"full\" " + why); }

}  // namespace

void check_trained_model(const Config& config, const ModelSpec& model) {
  if (config.parallel.tensor > model.kv_heads) {
    refuse_full(
        fmt::format("needs a key-value head for each tensor rank, and this model has {}; parallel.tensor is {}, set it to "
                    "at most {}",
                    model.kv_heads, config.parallel.tensor, model.kv_heads));
  }
  trained_tensors(model, config.train.trainable);
}

void check_trained_folder(const std::filesystem::path& folder, const ModelSpec& model) {
  if (find_gguf(folder)) {
    refuse_full(
        fmt::format("writes the model as a Hugging Face folder, and model.path ({}) is a GGUF file; name the folder with "
                    "the original weights",
                    folder.string()));
  }
  const TensorDirectory directory = read_model_directory(folder);
  if (const std::optional<BaseFormat> stored = stored_format(model, directory)) {
    refuse_full(
        fmt::format("trains the weights themselves, and those of model.path ({}) are quantized ({}); name the folder with "
                    "the original weights, or choose another method",
                    folder.string(), describe(*stored)));
  }
  for (const auto& [name, tensor] : directory.tensors) {
    if (!tensor.other_dtype.empty()) {
      refuse_full(
          fmt::format("writes all tensors of model.path, and {} is of type {}, which cannot be written; name a folder "
                      "with 16-bit or 32-bit weights",
                      name, tensor.other_dtype));
    }
  }
}

void tell_of_forced_slices(const Config& config, const Console& console) {
  const BaseShards::Of of = config.parallel.base_shards.of;
  if (of != BaseShards::Of::automatic && of != BaseShards::Of::all) {
    console.note(
        "parallel.base_shards has no effect with adapter.method = \"full\": every data rank keeps its slice of weights, "
        "gradients and moments, as with \"all\"");
  }
  if (!config.parallel.shard_vocabulary) {
    console.note(
        "parallel.shard_vocabulary = false has no effect with adapter.method = \"full\": embedding and head are divided "
        "like the blocks");
  }
}

}  // namespace lora_dist
