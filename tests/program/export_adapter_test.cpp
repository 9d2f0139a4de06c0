// export --for peft, vllm and llama.cpp, and --check: what is written means the same to the reader, and what cannot is refused.
#include <gmock/gmock.h>
#include <fstream>

#include <cstring>

#include "src/adapter/peft_adapter.h"
#include "src/io/gguf.h"
#include "src/io/safetensors.h"
#include "tests/program/fixtures.h"

namespace lora_dist::program::export_adapter_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

const std::string kDemo = source("demo/model").string();
const std::string kAdapter = source("tests/golden/lora_steps/nf4_double_all_linear/final").string();

Launch export_for(const std::string& reader, const std::vector<std::string>& more) {
  Launch launch;
  launch.arguments = {"export", "--for", reader};
  launch.arguments.insert(launch.arguments.end(), more.begin(), more.end());
  return launch;
}

std::vector<float> floats_of(const GgufFile& file, const std::string& name) {
  const GgufTensor& tensor = file.tensors.at(name);
  EXPECT_EQ(tensor.type->name, "F32") << name;
  const std::string bytes = get_file(tensor.file).substr(tensor.offset, tensor.bytes);
  std::vector<float> out(bytes.size() / sizeof(float));
  std::memcpy(out.data(), bytes.data(), bytes.size());
  return out;
}

/// The weight that llama.cpp computes with under --lora: W + alpha / r * B A, in the order of rows that the base's file has.
std::vector<float> with_lora(const GgufFile& base, const GgufFile& lora, const std::string& name) {
  std::vector<float> weight = floats_of(base, name);
  if (!lora.tensors.contains(name + ".lora_a")) {
    return weight;
  }
  const std::vector<float> a = floats_of(lora, name + ".lora_a");
  const std::vector<float> b = floats_of(lora, name + ".lora_b");
  const std::int64_t in = base.tensors.at(name).shape[1];
  const std::int64_t rank = lora.tensors.at(name + ".lora_b").shape[1];
  EXPECT_EQ(lora.tensors.at(name + ".lora_a").shape[1], in);
  EXPECT_EQ(lora.tensors.at(name + ".lora_b").shape[0], base.tensors.at(name).shape[0]);
  const double scale = *lora.number("adapter.lora.alpha") / static_cast<double>(rank);
  for (std::int64_t i = 0; i < std::ssize(weight); ++i) {
    double sum = 0.0;
    for (std::int64_t k = 0; k < rank; ++k) {
      sum += static_cast<double>(b[static_cast<std::size_t>(i / in * rank + k)]) *
             static_cast<double>(a[static_cast<std::size_t>(k * in + i % in)]);
    }
    weight[static_cast<std::size_t>(i)] += static_cast<float>(scale * sum);
  }
  return weight;
}

void expect_lora_is_merged(const GgufFile& base, const GgufFile& lora, const GgufFile& merged, const std::string& what) {
  int changed = 0;
  for (const auto& [name, tensor] : merged.tensors) {
    const std::vector<float> wanted = floats_of(merged, name);
    const std::vector<float> got = with_lora(base, lora, name);
    ASSERT_EQ(wanted.size(), got.size());
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      ASSERT_NEAR(got[i], wanted[i], 2e-6) << what << " " << name;  // sums of a few products in another order
    }
    changed += floats_of(base, name) != wanted;
  }
  EXPECT_EQ(changed * 2, std::ssize(lora.tensors)) << what;
}

/// The base alone, the adapter alone and the merged model as GGUF files belong together: permuted q and k, GPT-NeoX's slices, and
/// GPT-2's factors that must not be turned.
TEST(ExportAdapter, LlamaCppFactorsAreThoseOfTheMergedModel) {
  const Scratch scratch;
  for (const char* family : {"llama3", "qwen3", "gemma", "gpt2", "gpt_neox_parallel", "exaone3", "exaone4_global"}) {
    const std::string model = source(std::string("tests/golden/families/") + family).string();
    const std::string adapter = model + "/adapter_none";
    const auto file = [&](const char* kind) { return (scratch / (std::string(family) + kind)).string(); };
    expect_success(export_for("gguf", {"--type", "f32", "--model", model, "--output", file(".gguf")}));
    expect_success(export_for(
        "gguf", {"--type", "f32", "--model", model, "--adapter", adapter, "--onto", "full", "--output", file("_merged.gguf")}));
    const Finished run =
        expect_success(export_for("llama.cpp", {"--model", model, "--adapter", adapter, "--output", file("_lora.gguf")}));
    EXPECT_THAT(run.out, HasSubstr("llama-cli -m BASE.gguf --lora " + file("_lora.gguf")));
    const GgufFile lora = read_gguf(file("_lora.gguf"));
    EXPECT_EQ(*lora.text("general.type"), "adapter");
    EXPECT_EQ(*lora.text("adapter.type"), "lora");
    EXPECT_EQ(lora.number("adapter.lora.alpha"), 6.0);
    EXPECT_EQ(lora.integer("general.quantization_version"), 2);
    EXPECT_EQ(*lora.text("general.architecture"), *read_gguf(file(".gguf")).text("general.architecture"));
    expect_lora_is_merged(read_gguf(file(".gguf")), lora, read_gguf(file("_merged.gguf")), family);
  }
}

/// An adapter with rsLoRA and patterns of rank and alpha over the demo's model.
fs::path put_uneven_adapter(const fs::path& folder) {
  const PeftAdapter whole = read_peft_adapter(kAdapter);
  PeftConfig config = whole.config;
  config.use_rslora = true;
  config.rank_pattern = {{"layers.1.self_attn.q_proj", 3}};
  config.alpha_pattern = {{"v_proj", 5.0}};
  std::vector<AdapterTensor> tensors;
  std::vector<float> values;
  for (const auto& [name, matrix] : whole.tensors) {
    AdapterMatrix own = matrix;
    if (name.find("layers.1.self_attn.q_proj") != std::string::npos) {
      const bool is_a = name.ends_with("lora_A");
      own.shape = {is_a ? 3 : matrix.shape[0], is_a ? matrix.shape[1] : 3};
      own.values.resize(static_cast<std::size_t>(own.shape[0] * own.shape[1]));
    }
    tensors.push_back({name, own.shape, std::ssize(values), std::ssize(own.values)});
    values.insert(values.end(), own.values.begin(), own.values.end());
  }
  write_peft_adapter(folder, config, tensors, values);
  return folder;
}

TEST(ExportAdapter, VllmsFolderMeansTheSameWithoutPatterns) {
  const Scratch scratch;
  const std::string adapter = put_uneven_adapter(scratch / "adapter").string();
  const std::string output = (scratch / "vllm").string();
  const Finished run = expect_success(export_for("vllm", {"--adapter", adapter, "--output", output, "--model", kDemo}));
  EXPECT_THAT(run.out, HasSubstr("vllm serve " + kDemo + " --enable-lora --max-lora-rank 8 --lora-modules NAME=" + output));
  const json config = read_json(fs::path(output) / "adapter_config.json");
  EXPECT_EQ(config["use_rslora"], false);
  EXPECT_TRUE(config["rank_pattern"].empty());
  EXPECT_TRUE(config["alpha_pattern"].empty());
  EXPECT_EQ(config["r"], 8);
  EXPECT_TRUE(config["modules_to_save"].is_null());
  EXPECT_EQ(config["target_modules"], json({"down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"}));
  EXPECT_EQ(config["init_lora_weights"], true);
  const fs::path rows = source("tests/golden/stories260k/score_input.jsonl");
  const auto scores = [&](const std::string& folder) {
    return scores_of({"--model", kDemo, "--quantization", "none", "--adapter", folder}, rows, scratch / "out.jsonl");
  };
  const std::vector<json> wanted = scores(adapter);
  EXPECT_LE(largest_change(wanted, scores(output)), 2e-5);  // factors of B are rounded to f32
  EXPECT_GE(largest_change(wanted, scores(kAdapter)), 1e-2);
  // llama.cpp's file holds the same update.
  const auto gguf = [&](const char* name) { return (scratch / name).string(); };
  expect_success(export_for("llama.cpp", {"--model", kDemo, "--adapter", adapter, "--output", gguf("lora.gguf")}));
  expect_success(export_for("gguf", {"--type", "f32", "--model", kDemo, "--output", gguf("base.gguf")}));
  expect_success(export_for(
      "gguf", {"--type", "f32", "--model", kDemo, "--adapter", adapter, "--onto", "full", "--output", gguf("merged.gguf")}));
  expect_lora_is_merged(read_gguf(gguf("base.gguf")), read_gguf(gguf("lora.gguf")), read_gguf(gguf("merged.gguf")), "uneven");
}

TEST(ExportAdapter, PeftsFolderHasTheSameTensors) {
  const Scratch scratch;
  expect_success(export_for("peft", {"--adapter", kAdapter, "--output", (scratch / "peft").string()}));
  EXPECT_EQ(digests_below(scratch / "peft")["adapter_model.safetensors"], digests_below(kAdapter)["adapter_model.safetensors"]);
  EXPECT_EQ(fs::status(scratch / "peft").permissions(), fs::perms::owner_all);
  // Layers that were left out are left out by name, since layers_to_transform is not written.
  fs::copy(kAdapter, scratch / "some", fs::copy_options::recursive);
  json config = read_json(scratch / "some/adapter_config.json");
  config["layers_to_transform"] = {0, 1, 2, 3, 4};
  put_file(scratch / "some/adapter_config.json", config.dump());
  expect_success(export_for("peft", {"--adapter", (scratch / "some").string(), "--output", (scratch / "listed").string()}));
  EXPECT_EQ(read_json(scratch / "listed/adapter_config.json")["target_modules"].size(), 35U);
}

/// An adapter of a quantized base: what it was trained on is said, unless --onto full says that the plain base is meant.
TEST(ExportAdapter, TheBaseOfTrainingIsTold) {
  const Scratch scratch;
  fs::copy(kAdapter, scratch / "adapter", fs::copy_options::recursive);
  put_file(scratch / "adapter/lora_dist.json",
           R"({"base_format": {"quantization": "nf4", "double_quant": true, "block_size": 64}})");
  const std::string adapter = (scratch / "adapter").string();
  const Finished told = expect_success(export_for("vllm", {"--adapter", adapter, "--output", (scratch / "a").string()}));
  EXPECT_THAT(told.err, HasSubstr("on the plain base it computes another function"));
  EXPECT_TRUE(fs::exists(scratch / "a/lora_dist.json"));
  const Finished meant =
      expect_success(export_for("vllm", {"--adapter", adapter, "--output", (scratch / "b").string(), "--onto", "full"}));
  EXPECT_EQ(count_of(meant.err, "warning"), 0) << meant.err;
}

TEST(ExportAdapter, WhatAReaderDoesNotTakeIsRefusedWithTheWayOut) {
  const Scratch scratch;
  fs::create_directory(scratch / "out");
  const std::string output = (scratch / "out/x.gguf").string();
  const auto refuse = [&](const std::string& reader, const std::string& adapter, const std::vector<std::string>& more,
                          const std::vector<std::string>& texts) {
    std::vector<std::string> arguments = {"--adapter", adapter, "--output", output};
    arguments.insert(arguments.end(), more.begin(), more.end());
    expect_error_on_1_and_3_ranks(export_for(reader, arguments), 4, texts);
    EXPECT_TRUE(fs::is_empty(scratch / "out"));
  };
  const std::string gpt2 = source("tests/golden/families/gpt2/adapter_none").string();
  refuse("vllm", gpt2, {}, {gpt2 + ": vLLM has no LoRA for models of type gpt2; merge the adapter (lora_dist merge"});
  refuse("llama.cpp", gpt2, {"--model", kDemo}, {"the adapter belongs to another model"});
  fs::copy(kAdapter, scratch / "dora", fs::copy_options::recursive);
  json config = read_json(scratch / "dora/adapter_config.json");
  config["use_dora"] = true;
  put_file(scratch / "dora/adapter_config.json", config.dump());
  refuse("vllm", (scratch / "dora").string(), {}, {"it has use_dora, which vLLM does not take; merge the adapter"});
  refuse("gguf", (scratch / "dora").string(), {"--type", "f32", "--model", kDemo}, {"without lora_magnitude_vector"});
  fs::copy(kAdapter, scratch / "qalora", fs::copy_options::recursive);
  json of_qalora = config;
  of_qalora["use_dora"] = false;
  of_qalora["use_qalora"] = true;
  put_file(scratch / "qalora/adapter_config.json", of_qalora.dump());
  refuse("gguf", (scratch / "qalora").string(), {"--type", "f32", "--model", kDemo},
         {"it has use_qalora, which this program does not merge; merge it in PEFT (merge_and_unload)"});
  expect_success(export_for("peft", {"--adapter", (scratch / "qalora").string(), "--output", (scratch / "copy").string()}));
  EXPECT_EQ(digests_below(scratch / "copy"), digests_below(scratch / "qalora"));  // PEFT takes it: copied as it is
  fs::copy(kAdapter, scratch / "damaged", fs::copy_options::recursive);
  {  // the last value of the last tensor
    std::fstream file(scratch / "damaged/adapter_model.safetensors", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-4, std::ios::end);
    file.write("\x00\x00\xc0\x7f", 4);
  }
  const std::string damaged = (scratch / "damaged").string();
  refuse("vllm", damaged, {},
         {damaged + "/adapter_model.safetensors: tensor ", "has values that are not finite", "earlier checkpoint"});
  refuse("llama.cpp", damaged, {"--model", kDemo}, {"has values that are not finite"});
  config["use_dora"] = false;
  config["lora_alpha"] = 1e300;
  put_file(scratch / "damaged/adapter_config.json", config.dump());
  refuse("vllm", damaged, {}, {"adapter_config.json: lora_alpha is 1e+300, which is outside of fp32's range"});
  truncate_file(scratch / "dora/adapter_model.safetensors", 0.5);
  refuse("vllm", (scratch / "dora").string(), {}, {"adapter_model.safetensors"});
  refuse("peft", (scratch / "nothing").string(), {}, {"has no adapter_config.json"});
}

/// PEFT adds whole copies of embedding and head in some cases; they are left out once they are known to be the base's.
TEST(ExportAdapter, CopiesOfTheHeadAreComparedAndLeftOut) {
  const Scratch scratch;
  fs::copy(kAdapter, scratch / "adapter", fs::copy_options::recursive);
  const TensorDirectory base = read_safetensors_header(fs::path(kDemo) / "model.safetensors");
  TensorDirectory adapter = read_safetensors_header(fs::path(kAdapter) / "adapter_model.safetensors");
  std::vector<TensorToWrite> tensors;
  for (const auto& [name, tensor] : adapter.tensors) {
    tensors.push_back({name, tensor.dtype, tensor.shape, {}});
  }
  const TensorInfo& embedding = base.tensors.at("model.embed_tokens.weight");
  adapter.tensors["base_model.model.lm_head.weight"] = embedding;
  tensors.push_back({"base_model.model.lm_head.weight", embedding.dtype, embedding.shape, {}});
  write_safetensors(scratch / "adapter/adapter_model.safetensors", tensors, [&](const TensorToWrite& wanted) {
    const TensorInfo& tensor = adapter.tensors.at(wanted.name);
    std::vector<std::byte> bytes(tensor.bytes);
    read_tensor_bytes(tensor, 0, bytes);
    return bytes;
  });
  const std::string folder = (scratch / "adapter").string();
  const std::string output = (scratch / "out").string();
  expect_error_on_1_and_3_ranks(export_for("vllm", {"--adapter", folder, "--output", output}), 4,
                                {"it holds a copy of lm_head, which other programs refuse; add --model DIR"});
  expect_success(export_for("vllm", {"--adapter", folder, "--output", output, "--model", kDemo}));
  EXPECT_EQ(read_safetensors_header(fs::path(output) / "adapter_model.safetensors").tensors.size(), 70U);
  // PEFT loads them: without a base to compare with, nothing is left out.
  expect_success(export_for("peft", {"--adapter", folder, "--output", (scratch / "copy").string()}));
  EXPECT_EQ(digests_below(scratch / "copy"), digests_below(scratch / "adapter"));
}

TEST(ExportAdapter, CheckTellsForEachReader) {
  const Scratch scratch;
  const std::string adapter = put_uneven_adapter(scratch / "adapter").string();
  Launch launch;
  launch.arguments = {"export", "--check", "--adapter", adapter, "--model", kDemo};
  const Finished run = expect_success(launch);
  EXPECT_THAT(run.out, HasSubstr("peft       yes"));
  EXPECT_THAT(run.out, HasSubstr("vllm       by export  vLLM 0.19 ignores rank_pattern"));
  EXPECT_THAT(run.out, HasSubstr("llama.cpp  by export  llama.cpp's converter ignores rsLoRA"));
  EXPECT_THAT(run.out, HasSubstr("gguf       by export  the adapter is merged into the model"));
  EXPECT_THAT(run.out, HasSubstr("every tensor has its place in " + kDemo));
  launch.arguments = {"export", "--check",   "--for",
                      "vllm",   "--adapter", source("tests/golden/families/gpt2/adapter_none").string()};
  const Finished refused = expect_error(launch, 4, {"vLLM has no LoRA for models of type gpt2"});
  EXPECT_EQ(count_of(refused.out, "llama.cpp"), 0);
  launch.arguments = {"export", "--check"};
  expect_error(launch, 2, {"--adapter DIR"});
  const std::string other = source("tests/golden/families/gpt2/adapter_none").string();
  launch.arguments = {"export", "--check", "--adapter", adapter, "--adapter", other};
  const Finished both = expect_success(launch);
  EXPECT_THAT(both.out, HasSubstr(adapter + ":"));
  EXPECT_THAT(both.out, HasSubstr(other + ":"));
  EXPECT_EQ(count_of(both.out, "peft       yes"), 2);
}

/// PEFT cannot use such target_modules; what is written names the adapted modules.
TEST(ExportAdapter, TargetsThatPeftCannotUseBecomeNames) {
  const Scratch scratch;
  fs::copy(kAdapter, scratch / "adapter");
  json config = read_json(scratch / "adapter/adapter_config.json");
  const json names = config["target_modules"];
  for (const json& targets : {json(nullptr), json::array(), json("(")}) {
    config["target_modules"] = targets;
    put_file(scratch / "adapter/adapter_config.json", config.dump());
    fs::remove_all(scratch / "out");
    expect_success(export_for("peft", {"--adapter", (scratch / "adapter").string(), "--output", (scratch / "out").string()}));
    const json written = read_json(scratch / "out/adapter_config.json")["target_modules"];
    EXPECT_GE(written.size(), names.size()) << targets;
  }
}

TEST(ExportAdapter, InspectTellsOfALoraFile) {
  const Scratch scratch;
  const std::string file = (scratch / "lora.gguf").string();
  expect_success(export_for("llama.cpp", {"--adapter", kAdapter, "--output", file, "--model", kDemo, "--onto", "full"}));
  Launch launch;
  launch.arguments = {"inspect", file, "--tensors"};
  const Finished run = expect_success(launch);
  EXPECT_THAT(run.out, HasSubstr("(a GGUF file for llama.cpp)"));
  EXPECT_THAT(run.out, HasSubstr("architecture    llama"));
  EXPECT_THAT(run.out, HasSubstr("ranks           8 (35 modules)"));
  EXPECT_THAT(run.out, HasSubstr("blk.4.ffn_down.weight.lora_b"));
}

TEST(ExportAdapter, CommandLine) {
  expect_error(export_for("vllm", {}), 2, {"--adapter DIR", "--output PATH"});
  expect_error(export_for("llama.cpp", {"--adapter", "a", "--output", "o"}), 2, {"--model DIR"});
  expect_error(export_for("llama.cpp", {"--adapter", "a", "--output", "o", "--model", "m"}), 2, {"--output o must end in .gguf"});
  expect_error(export_for("ollama", {}), 2, {"--for", "ollama", "peft, vllm, llama.cpp, gguf"});
  expect_error(export_for("vllm", {"--adapter", "a", "--output", "o", "--type", "f16"}), 2, {"--type is of --for gguf"});
  expect_error(export_for("vllm", {"--adapter", "a", "--adapter", "b", "--output", "o"}), 2,
               {"--adapter is given more than once"});
  const Scratch scratch;
  put_file(scratch / "there", "x");
  expect_error(export_for("vllm", {"--adapter", kAdapter, "--output", (scratch / "there").string()}), 2,
               {"there is already there"});
}

}  // namespace
}  // namespace lora_dist::program::export_adapter_test
