// Compares merged weights with PEFT's merge_and_unload, and with its update on weights quantized and dequantized by bitsandbytes.
#include "src/convert/merge_weights.h"

#include <gmock/gmock.h>

#include <cstring>

#include "src/core/error.h"
#include "tests/support/scratch.h"
#include "tests/support/source_dir.h"

namespace lora_dist::merge_weights_test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

const BaseFormat kFull{Quantization::none, false, 64};
const BaseFormat kNf4{Quantization::nf4, true, 64};

fs::path tiny() { return fs::path(LORA_DIST_SOURCE_DIR) / "tests/golden/tiny_llama_bias"; }

MergePlan tiny_plan(const TensorDirectory& model, std::span<const WeightedAdapter> adapters) {
  return make_merge_plan(read_model_config(tiny()), model, adapters);
}

std::vector<WeightedAdapter> tiny_adapter(double weight = 1.0) {
  return {{tiny() / "adapter", weight, read_peft_adapter(tiny() / "adapter")}};
}

std::vector<std::uint16_t> bf16_bits(const TensorInfo& tensor) {
  std::vector<std::uint16_t> bits(tensor.bytes / 2);
  read_tensor_bytes(tensor, 0, std::as_writable_bytes(std::span(bits)));
  return bits;
}

float widened(std::uint16_t bits) {
  const std::uint32_t wide = static_cast<std::uint32_t>(bits) << 16;
  float value = 0.0F;
  std::memcpy(&value, &wide, sizeof value);
  return value;
}

TensorDirectory merge_all(const fs::path& target, const MergePlan& plan, const TensorDirectory& model, const BaseFormat& onto) {
  TensorDirectory all;
  for (const fs::path& file : model.files) {
    merge_file(model, file, target / file.filename(), plan, onto, kNf4, Stream{});
    for (auto& [name, tensor] : read_safetensors_header(target / file.filename()).tensors) {
      all.tensors.emplace(name, tensor);
    }
  }
  return all;
}

TEST(CopyOtherFiles, TakesChatTemplatesAlong) {
  const Scratch model;
  const Scratch target;
  for (const char* name : {"config.json", "chat_template.jinja", "additional_chat_templates/tool_use.jinja", "model.safetensors",
                           "additional_chat_templates/notes.txt", "onnx/config.json"}) {
    model.write(name, name);
  }
  copy_other_files(model.path(), target.path());
  std::vector<std::string> found;
  for (const auto& entry : fs::recursive_directory_iterator(target.path())) {
    if (entry.is_regular_file()) {
      found.push_back(entry.path().lexically_relative(target.path()).string());
      EXPECT_EQ(get_file(entry.path()), found.back());
    }
  }
  EXPECT_THAT(found,
              testing::UnorderedElementsAre("config.json", "chat_template.jinja", "additional_chat_templates/tool_use.jinja"));
}

class MergeWeights : public testing::TestWithParam<bool> {};

TEST_P(MergeWeights, AreThoseOfPeft) {
  const bool dequantized = GetParam();
  const Scratch scratch;
  const TensorDirectory model = read_model_directory(tiny());
  const std::vector<WeightedAdapter> adapters = tiny_adapter();
  const MergePlan plan = tiny_plan(model, adapters);
  const TensorDirectory merged = merge_all(scratch.path(), plan, model, dequantized ? kNf4 : kFull);
  const TensorDirectory expected =
      read_safetensors_header(tiny() / (dequantized ? "merged_nf4.safetensors" : "merged_full.safetensors"));
  ASSERT_EQ(expected.tensors.size(), plan.size());
  std::int64_t other_roundings = 0;
  for (const auto& [name, tensor] : expected.tensors) {
    const std::vector<std::uint16_t> ours = bf16_bits(merged.tensors.at(name));
    const std::vector<std::uint16_t> theirs = bf16_bits(tensor);
    ASSERT_EQ(ours.size(), theirs.size());
    for (std::size_t i = 0; i < ours.size(); ++i) {
      // The product B A is summed in another order: a value near the middle between two bf16 may fall on the other side.
      other_roundings += ours[i] != theirs[i] ? 1 : 0;
      EXPECT_NEAR(widened(ours[i]), widened(theirs[i]), std::abs(widened(theirs[i])) / 128.0F) << name << " element " << i;
    }
  }
  EXPECT_LE(other_roundings, 20);  // of 62,000
}

INSTANTIATE_TEST_SUITE_P(, MergeWeights, testing::Bool(),
                         [](const auto& test) { return test.param ? "OntoDequantized" : "OntoFull"; });

TEST(MergeFiles, KeepEveryOtherByte) {
  const Scratch scratch;
  const TensorDirectory model = read_model_directory(tiny());
  const std::vector<WeightedAdapter> adapters = tiny_adapter();
  MergePlan plan = tiny_plan(model, adapters);
  const TensorDirectory merged = merge_all(scratch.path(), plan, model, kFull);
  ASSERT_EQ(merged.tensors.size(), model.tensors.size());
  int kept = 0;
  for (const auto& [name, tensor] : model.tensors) {
    const TensorInfo& out = merged.tensors.at(name);
    EXPECT_EQ(out.offset, tensor.offset) << name;
    EXPECT_EQ(out.dtype, tensor.dtype) << name;
    if (!plan.contains(name)) {
      EXPECT_EQ(bf16_bits(out), bf16_bits(tensor)) << name;
      ++kept;
    }
  }
  EXPECT_GT(kept, 10);
}

TEST(MergeFiles, AddSeveralAdaptersByTheirWeights) {
  const Scratch scratch;
  const TensorDirectory model = read_model_directory(tiny());
  std::vector<WeightedAdapter> halves = tiny_adapter(0.75);
  halves.push_back(tiny_adapter(0.25)[0]);
  const std::vector<WeightedAdapter> whole = tiny_adapter();
  fs::create_directories(scratch / "halves");
  fs::create_directories(scratch / "whole");
  const TensorDirectory in_two = merge_all(scratch / "halves", tiny_plan(model, halves), model, kFull);
  const TensorDirectory in_one = merge_all(scratch / "whole", tiny_plan(model, whole), model, kFull);
  const std::string name = "model.layers.1.mlp.down_proj.weight";
  const std::vector<std::uint16_t> two = bf16_bits(in_two.tensors.at(name));
  const std::vector<std::uint16_t> one = bf16_bits(in_one.tensors.at(name));
  EXPECT_NE(one, bf16_bits(model.tensors.at(name)));
  for (std::size_t i = 0; i < one.size(); ++i) {
    ASSERT_NEAR(widened(two[i]), widened(one[i]), std::abs(widened(one[i])) / 128.0F) << i;  // one step of bf16
  }
}

/// A GPT-2 of one block without the prefix of its names, weights as [in, out]: 2 wide, its own attn.c_attn [2, 6].
ModelSpec put_gpt2(const fs::path& folder) {
  put_file(folder / "config.json",
           R"({"model_type":"gpt2","n_embd":2,"n_layer":1,"n_head":1,"n_inner":2,"n_positions":4,"vocab_size":3})");
  std::vector<float> values(12);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(i % 7) - 3.0F;
  }
  const auto tensor = [&](const char* name, std::vector<std::int64_t> shape) {
    const auto count = static_cast<std::size_t>(shape[0] * shape[1]);
    return TensorToWrite{name, DType::f32, std::move(shape), std::as_bytes(std::span(values).first(count))};
  };
  write_safetensors(folder / "model.safetensors",
                    {tensor("h.0.attn.c_attn.weight", {2, 6}), tensor("h.0.attn.c_proj.weight", {2, 2}),
                     tensor("h.0.mlp.c_fc.weight", {2, 2}), tensor("h.0.mlp.c_proj.weight", {2, 2})});
  return read_model_config(folder);
}

PeftAdapter gpt2_adapter(std::int64_t in, std::int64_t out) {
  PeftAdapter adapter;
  adapter.config.r = 1;
  adapter.config.alpha = 2;
  AdapterMatrix a{{1, in}, std::vector<float>(static_cast<std::size_t>(in))};
  AdapterMatrix b{{out, 1}, std::vector<float>(static_cast<std::size_t>(out))};
  for (std::size_t i = 0; i < a.values.size(); ++i) {
    a.values[i] = static_cast<float>(i + 1);
  }
  for (std::size_t i = 0; i < b.values.size(); ++i) {
    b.values[i] = 10.0F * static_cast<float>(i + 1);
  }
  adapter.tensors = {{"transformer.h.0.attn.c_attn.lora_A", a}, {"transformer.h.0.attn.c_attn.lora_B", b}};
  return adapter;
}

TEST(MergeFiles, TransposeWhereTheFileKeepsWeightsAsInByOut) {
  const Scratch scratch;
  const ModelSpec spec = put_gpt2(scratch.path());
  const TensorDirectory model = read_model_directory(scratch.path());
  const std::vector<WeightedAdapter> adapters = {{"a", 1.0, gpt2_adapter(2, 6)}};
  const MergePlan plan = make_merge_plan(spec, model, adapters);
  EXPECT_EQ(plan.size(), 4U);
  ASSERT_TRUE(plan.contains("h.0.attn.c_attn.weight"));
  const fs::path target = scratch / "merged.safetensors";
  const MergeSums sums = merge_file(model, model.files[0], target, plan, kFull, kFull, Stream{});
  std::vector<float> out(12);
  const TensorInfo tensor = read_safetensors_header(target).tensors.at("h.0.attn.c_attn.weight");
  read_tensor_bytes(tensor, 0, std::as_writable_bytes(std::span(out)));
  // w[i][o] + 2 * a[i] * b[o]
  EXPECT_EQ(out, (std::vector<float>{-3 + 20, -2 + 40, -1 + 60, 0 + 80, 1 + 100, 2 + 120, 3 + 40, -3 + 80, -2 + 120, -1 + 160,
                                     0 + 200, 1 + 240}));
  EXPECT_EQ(sums.tensors, 1);
  EXPECT_EQ(sums.held, 0);
  EXPECT_DOUBLE_EQ(sums.update, (1.0 + 4.0) * 400.0 * (1 + 4 + 9 + 16 + 25 + 36));
  EXPECT_DOUBLE_EQ(sums.quantization, 0.0);
  EXPECT_DOUBLE_EQ(sums.rounding, 0.0);
}

/// Two of the four linears of GPT-2's blocks are adapted; training held all of them in NF4.
TEST(MergeFiles, CountEveryLinearOfTheBlocksHoweverTheyMerge) {
  const Scratch scratch;
  const fs::path folder = fs::path(LORA_DIST_SOURCE_DIR) / "tests/golden/families/gpt2";
  const TensorDirectory model = read_model_directory(folder);
  const auto merge = [&](const char* adapter, const BaseFormat& onto) {
    const std::vector<WeightedAdapter> adapters = {{folder / adapter, 1.0, read_peft_adapter(folder / adapter)}};
    const MergePlan plan = make_merge_plan(read_model_config(folder), model, adapters);
    return merge_file(model, model.files[0], scratch / "merged.safetensors", plan, onto, kNf4, Stream{});
  };
  const MergeSums dequantized = merge("adapter_nf4", kNf4);
  EXPECT_EQ(dequantized.tensors, 6);  // c_attn and both c_proj of two blocks
  EXPECT_EQ(dequantized.held, 2);     // c_fc
  const TensorDirectory merged = read_safetensors_header(scratch / "merged.safetensors");
  const auto differs = [&](const std::string& name) {
    std::vector<std::byte> before(model.tensors.at(name).bytes);
    std::vector<std::byte> after(before.size());
    read_tensor_bytes(model.tensors.at(name), 0, before);
    read_tensor_bytes(merged.tensors.at(name), 0, after);
    return before != after;
  };
  for (const auto& [name, tensor] : model.tensors) {
    EXPECT_EQ(differs(name), name.find(".c_") != std::string::npos && name.ends_with(".weight")) << name;
  }
  const MergeSums full = merge("adapter_nf4", kFull);
  EXPECT_EQ(full.tensors, 6);
  EXPECT_EQ(full.held, 0);
  EXPECT_GT(full.quantization, 0.0);
  EXPECT_DOUBLE_EQ(full.quantization, dequantized.quantization);
}

std::string plan_error(const ModelSpec& spec, const TensorDirectory& model, const std::vector<WeightedAdapter>& adapters) {
  const Thrown error = thrown_by([&] { make_merge_plan(spec, model, adapters); });
  EXPECT_EQ(error.code, ExitCode::model);
  return error.message;
}

TEST(MergePlan, RefusesAdaptersOfOtherModels) {
  const Scratch scratch;
  const ModelSpec spec = put_gpt2(scratch.path());
  const TensorDirectory model = read_model_directory(scratch.path());
  EXPECT_THAT(plan_error(spec, model, {{"some/adapter", 1.0, gpt2_adapter(4, 3)}}),
              AllOf(HasSubstr("some/adapter: its update of h.0.attn.c_attn.weight is [4, 3]"),
                    HasSubstr("the adapter belongs to another model")));
  PeftAdapter strange = gpt2_adapter(2, 6);
  strange.tensors = {{"model.x.lora_A", {{1, 4}, {}}}, {"model.x.lora_B", {{3, 1}, {}}}};
  EXPECT_THAT(plan_error(spec, model, {{"some/adapter", 1.0, strange}}),
              HasSubstr("some/adapter: it adapts model.x, which the model does not have; the adapter belongs to another model"));
}

/// A block beyond config.json's number of layers is not part of the model.
TEST(MergePlan, RefusesAdaptersOfBlocksThatAreNotUsed) {
  const TensorDirectory model = read_model_directory(tiny());
  ModelSpec spec = read_model_config(tiny());
  spec.layers = 2;
  EXPECT_THAT(plan_error(spec, model, tiny_adapter()),
              HasSubstr("it adapts model.layers.2.mlp.down_proj, which the model does not have"));
}

TEST(MergePlan, RefusesAModelThatLacksAWeight) {
  TensorDirectory model = read_model_directory(tiny());
  model.tensors.erase("model.layers.1.mlp.up_proj.weight");
  EXPECT_THAT(plan_error(read_model_config(tiny()), model, tiny_adapter()),
              HasSubstr("tensor model.layers.1.mlp.up_proj.weight is missing"));
}

}  // namespace
}  // namespace lora_dist::merge_weights_test
