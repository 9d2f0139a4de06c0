// Folders whose tensor names lack the prefix: merged correctly, with unchanged names.
#include <gtest/gtest.h>

#include <map>

#include "src/convert/merge_quantized.h"
#include "src/model/family.h"
#include "tests/support/bare_names.h"
#include "tests/support/scratch.h"
#include "tests/support/source_dir.h"

namespace lora_dist::merge_names_test {
namespace {

namespace fs = std::filesystem;

/// Rank 1 on the first and the last linear of each block.
PeftAdapter adapter_for(const ModelSpec& spec) {
  PeftAdapter adapter;
  adapter.config.r = 1;
  adapter.config.alpha = 1;
  const auto add = [&](const std::string& path, const char* half, std::vector<std::int64_t> shape) {
    AdapterMatrix matrix{shape, std::vector<float>(static_cast<std::size_t>(shape[0] * shape[1]))};
    for (std::size_t i = 0; i < matrix.values.size(); ++i) {
      matrix.values[i] = static_cast<float>(i % 5) - 1.5F;
    }
    adapter.tensors.emplace(path + half, std::move(matrix));
  };
  for (std::int64_t layer = 0; layer < spec.layers; ++layer) {
    for (const Linear linear : {spec.fused_qkv ? Linear::qkv : Linear::q, Linear::down}) {
      const LinearShape shape = linear_shape(spec, linear);
      add(module_path(*spec.family, layer, linear), ".lora_A", {1, shape.in});
      add(module_path(*spec.family, layer, linear), ".lora_B", {shape.out, 1});
    }
  }
  return adapter;
}

std::map<std::string, std::vector<std::byte>> tensors_of(const fs::path& file) {
  std::map<std::string, std::vector<std::byte>> all;
  for (const auto& [name, tensor] : read_safetensors_header(file).tensors) {
    all[name].resize(tensor.bytes);
    read_tensor_bytes(tensor, 0, all[name]);
  }
  return all;
}

struct Merged {
  std::map<std::string, std::vector<std::byte>> tensors;
  MergeSums sums;
};

Merged merge(const fs::path& folder, const fs::path& target) {
  const BaseFormat nf4{Quantization::nf4, true, 64};
  const ModelSpec spec = read_model_config(folder);
  const TensorDirectory directory = read_model_directory(folder);
  const std::vector<WeightedAdapter> adapters = {{"adapter", 1.0, adapter_for(spec)}};
  Merged merged;
  const std::vector<StoredWeights> stored = check_model_tensors(spec, directory);
  if (stored_format(stored)) {
    const QuantizedModel model = as_plain_model(spec, directory, stored);
    const MergePlan plan = make_merge_plan(spec, model.plain, adapters);
    merged.sums = merge_quantized_file(model, directory.files[0], target, plan, Stream{});
  } else {
    const MergePlan plan = make_merge_plan(spec, directory, adapters);
    merged.sums = merge_file(directory, directory.files[0], target, plan, nf4, nf4, Stream{});
  }
  merged.tensors = tensors_of(target);
  return merged;
}

class MergeNames : public testing::TestWithParam<const char*> {};

TEST_P(MergeNames, OfAFolderWithoutThePrefixStayAsTheyAre) {
  const Scratch scratch;
  const fs::path folder = fs::path(LORA_DIST_SOURCE_DIR) / "tests/golden" / GetParam();
  const ModelSpec spec = read_model_config(folder);
  const std::string prefix(spec.family->names.prefix);
  ASSERT_GT(copy_with_bare_names(folder, prefix, scratch / "bare"), 10);
  const Merged whole = merge(folder, scratch / "whole.safetensors");
  const Merged bare = merge(scratch / "bare", scratch / "bare.safetensors");
  EXPECT_EQ(whole.sums.tensors, 2 * spec.layers);
  EXPECT_GT(whole.sums.held, 0);
  EXPECT_EQ(bare.sums.tensors, whole.sums.tensors);
  EXPECT_EQ(bare.sums.held, whole.sums.held);
  EXPECT_EQ(bare.tensors.size(), whole.tensors.size());
  for (const auto& [name, bytes] : whole.tensors) {
    const auto found = bare.tensors.find(bare_name(name, prefix));
    ASSERT_NE(found, bare.tensors.end()) << name;
    EXPECT_TRUE(found->second == bytes) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, MergeNames,
                         testing::Values("families/llama3", "families/mistral_window", "families/qwen2_window", "families/qwen3",
                                         "families/gemma", "families/gpt2", "families/gpt_neox_parallel",
                                         "families/gpt_neox_serial", "families/exaone3", "families/exaone4_hybrid",
                                         "families/gemma3", "families/gemma2", "families/phi3", "families/glm4",
                                         "families/hyperclovax", "families/starcoder2", "prequantized/llama_nf4_nested",
                                         "prequantized/gpt2_fp4_in_bf16", "prequantized/qwen2_fp4_nested_in_f32"),
                         [](const auto& info) { return fs::path(info.param).filename().string(); });

}  // namespace
}  // namespace lora_dist::merge_names_test
