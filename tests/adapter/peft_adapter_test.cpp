// Adapter folders: writing, reading back, and rejection of invalid ones.
#include "src/adapter/peft_adapter.h"

#include <gmock/gmock.h>
#include <sys/mount.h>
#include <unistd.h>

#include <numeric>

#include "src/io/safetensors.h"
#include "tests/support/scratch.h"

namespace lora_dist::peft_adapter_test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

const std::vector<AdapterTensor> kTensors = {{"model.layers.0.self_attn.q_proj.lora_A", {2, 3}, 0, 6},
                                             {"model.layers.0.self_attn.q_proj.lora_B", {5, 2}, 6, 10}};
constexpr const char* kNameA = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";
constexpr const char* kNameB = "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight";

PeftConfig small_config() {
  PeftConfig config;
  config.r = 2;
  config.alpha = 4;
  config.target_modules = {"q_proj"};
  config.base_model_name_or_path = "models/tiny";
  return config;
}

std::vector<float> counting(std::size_t count) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), 0.5F);
  return values;
}

class PeftFolder : public testing::Test {
 protected:
  PeftFolder() { put_file(scratch_ / "adapter_config.json", adapter_config_text(small_config())); }
  /// A weights file of f32 tensors of these names and shapes.
  void put_weights(const std::vector<std::pair<std::string, std::vector<std::int64_t>>>& named) {
    std::vector<TensorToWrite> tensors;
    for (const auto& [name, shape] : named) {
      const std::int64_t count = std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
      tensors.push_back({name, DType::f32, shape, std::as_bytes(std::span(values_).first(static_cast<std::size_t>(count)))});
    }
    write_safetensors(scratch_ / "adapter_model.safetensors", tensors);
  }
  std::string problem() {
    const Thrown error = thrown_by([&] { read_peft_adapter(scratch_.path()); });
    EXPECT_EQ(error.code, ExitCode::model);
    EXPECT_THAT(error.message, HasSubstr(scratch_.path().string()));
    return error.message;
  }

  Scratch scratch_;
  std::vector<float> values_ = counting(64);
};

TEST(PeftAdapter, RoundTrip) {
  const Scratch scratch;
  const std::vector<float> params = counting(16);
  write_peft_adapter(scratch / "adapter", small_config(), kTensors, params);
  const TensorDirectory directory = read_safetensors_header(scratch / "adapter/adapter_model.safetensors");
  EXPECT_THAT(directory.tensors.at(kNameA).shape, ElementsAre(2, 3));
  EXPECT_THAT(directory.tensors.at(kNameB).shape, ElementsAre(5, 2));
  EXPECT_EQ(directory.tensors.at(kNameB).dtype, DType::f32);
  EXPECT_EQ(directory.metadata.at("format"), "pt");
  EXPECT_EQ(get_file(scratch / "adapter/adapter_config.json"), adapter_config_text(small_config()));
  EXPECT_THAT(get_file(scratch / "adapter/README.md"), AllOf(HasSubstr("base_model: \"models/tiny\"\nlibrary_name: peft"),
                                                             HasSubstr("LoRA adapter of rank 2, alpha 4, for the base model")));

  const PeftAdapter adapter = read_peft_adapter(scratch / "adapter");
  ASSERT_EQ(adapter.tensors.size(), 2U);
  EXPECT_EQ(adapter.tensors.at(kTensors[0].name).values, std::vector<float>(params.begin(), params.begin() + 6));
  EXPECT_EQ(adapter.tensors.at(kTensors[1].name).values, std::vector<float>(params.begin() + 6, params.end()));
  EXPECT_THAT(adapter.tensors.at(kTensors[1].name).shape, ElementsAre(5, 2));
  EXPECT_EQ(adapter.config.alpha, 4);
}

TEST(PeftAdapter, InBf16OnRequest) {
  const Scratch scratch;
  std::vector<float> params = counting(16);
  params[7] = 1.0F + 0x1p-8F;  // halfway between two bf16 numbers: rounds to the even one
  write_peft_adapter(scratch / "adapter", small_config(), kTensors, params, DType::bf16);
  const TensorDirectory directory = read_safetensors_header(scratch / "adapter/adapter_model.safetensors");
  EXPECT_EQ(directory.tensors.at(kNameA).dtype, DType::bf16);
  params[7] = 1.0F;
  const PeftAdapter adapter = read_peft_adapter(scratch / "adapter");
  EXPECT_EQ(adapter.tensors.at(kTensors[0].name).values, std::vector<float>(params.begin(), params.begin() + 6));
  EXPECT_EQ(adapter.tensors.at(kTensors[1].name).values, std::vector<float>(params.begin() + 6, params.end()));
}

TEST(PeftAdapter, WritingReplacesTheEarlierOneWhole) {
  const Scratch scratch;
  const std::vector<float> params = counting(16);
  fs::create_directory(scratch / "adapter");
  put_file(scratch / "adapter/adapter_model.bin", "old");
  write_peft_adapter(scratch / "adapter", small_config(), kTensors, params);
  EXPECT_FALSE(fs::exists(scratch / "adapter/adapter_model.bin"));
  EXPECT_EQ(std::distance(fs::directory_iterator(scratch.path()), {}), 1);
}

TEST(PeftAdapter, AFullDiskLeavesTheEarlierOne) {
  const Scratch scratch;
  const fs::path small = scratch / "small";
  fs::create_directory(small);
  if (::geteuid() != 0 || ::mount("none", small.c_str(), "tmpfs", 0, "size=64k") != 0) {
    GTEST_SKIP() << "a small file system can only be mounted by root";
  }
  write_peft_adapter(small / "adapter", small_config(), kTensors, counting(16));
  const std::vector<AdapterTensor> large = {{"q_proj.lora_A", {2, 50'000}, 0, 100'000}, {"q_proj.lora_B", {5, 2}, 100'000, 10}};
  const Thrown error = thrown_by([&] { write_peft_adapter(small / "adapter", small_config(), large, counting(100'010)); });
  EXPECT_EQ(error.code, ExitCode::model);
  EXPECT_THAT(error.message, HasSubstr("No space left on device"));
  EXPECT_EQ(read_peft_adapter(small / "adapter").tensors.size(), 2U);
  EXPECT_EQ(std::distance(fs::directory_iterator(small), {}), 1);
  EXPECT_EQ(::umount(small.c_str()), 0);
}

TEST_F(PeftFolder, LayersThatTheConfigurationLeavesOutAreRefused) {
  put_weights({{kNameA, {2, 3}}, {kNameB, {5, 2}}});
  put_file(scratch_ / "adapter_config.json", R"({"peft_type":"LORA","r":2,"layers_to_transform":[1,2]})");
  EXPECT_THAT(problem(), HasSubstr("model.layers.0.self_attn.q_proj.lora_A is in a layer that layers_to_transform of "
                                   "adapter_config.json leaves out"));
  put_file(scratch_ / "adapter_config.json", R"({"peft_type":"LORA","r":2,"layers_to_transform":[0]})");
  EXPECT_EQ(read_peft_adapter(scratch_.path()).tensors.size(), 2U);
}

TEST_F(PeftFolder, ModulesThatTheConfigurationLeavesOutAreRefused) {
  put_weights({{kNameA, {2, 3}}, {kNameB, {5, 2}}});
  put_file(scratch_ / "adapter_config.json", R"({"peft_type":"LORA","r":2,"target_modules":["v_proj"]})");
  EXPECT_THAT(problem(), HasSubstr("model.layers.0.self_attn.q_proj.lora_A is of a module that target_modules and "
                                   "exclude_modules of adapter_config.json leave out"));
  put_file(scratch_ / "adapter_config.json", R"({"peft_type":"LORA","r":2,"target_modules":["v_proj","q_proj"]})");
  EXPECT_EQ(read_peft_adapter(scratch_.path()).tensors.size(), 2U);
}

TEST_F(PeftFolder, ReadsHalfPrecision) {
  const std::vector<std::uint16_t> bf16 = {0x3f80, 0xc000, 0x0000, 0x3e80, 0x42c8, 0x7f7f};  // 1 -2 0 0.25 100 and the largest
  const std::vector<std::uint16_t> f16 = {0x3c00, 0xc000, 0x0001, 0x3400, 0x5640,
                                          0x8000, 0x7bff, 0,      0,      0};  // 1 -2 2^-24 0.25 100 -0 65504
  write_safetensors(scratch_ / "adapter_model.safetensors", {{kNameA, DType::bf16, {2, 3}, std::as_bytes(std::span(bf16))},
                                                             {kNameB, DType::f16, {5, 2}, std::as_bytes(std::span(f16))}});
  const PeftAdapter adapter = read_peft_adapter(scratch_.path());
  EXPECT_THAT(adapter.tensors.at(kTensors[0].name).values, ElementsAre(1, -2, 0, 0.25F, 100, 0x1.FEp127F));
  EXPECT_THAT(adapter.tensors.at(kTensors[1].name).values, ElementsAre(1, -2, 0x1p-24F, 0.25F, 100, -0.0F, 65504, 0, 0, 0));
}

TEST_F(PeftFolder, RanksMayDifferByPattern) {
  PeftConfig config = small_config();
  config.rank_pattern = {{"k_proj", 4}};
  config.target_modules.emplace_back("k_proj");
  put_file(scratch_ / "adapter_config.json", adapter_config_text(config));
  put_weights({{kNameA, {2, 3}},
               {kNameB, {5, 2}},
               {"base_model.model.k_proj.lora_A.weight", {4, 3}},
               {"base_model.model.k_proj.lora_B.weight", {5, 4}}});
  EXPECT_EQ(read_peft_adapter(scratch_.path()).tensors.size(), 4U);
}

TEST_F(PeftFolder, DisagreementsAreNamed) {
  put_weights({{kNameA, {2, 3}}});
  EXPECT_THAT(problem(), HasSubstr("holds model.layers.0.self_attn.q_proj.lora_A without lora_B; save the adapter again"));
  put_weights({{kNameB, {5, 2}}});
  EXPECT_THAT(problem(), HasSubstr("holds model.layers.0.self_attn.q_proj.lora_B without lora_A"));
  put_weights({{kNameA, {4, 3}}, {kNameB, {5, 4}}});
  EXPECT_THAT(problem(),
              HasSubstr("model.layers.0.self_attn.q_proj.lora_A is [4, 3], and adapter_config.json gives its module rank 2"));
  put_weights({{kNameA, {2, 3}}, {kNameB, {2, 5}}});
  EXPECT_THAT(problem(), HasSubstr("lora_B is [2, 5], and adapter_config.json gives its module rank 2"));
  put_weights({{kNameA, {2, 3, 1}}, {kNameB, {5, 2}}});
  EXPECT_THAT(problem(), HasSubstr("is not a matrix"));
  put_weights({{kNameA, {2, 0}}, {kNameB, {5, 2}}});
  EXPECT_THAT(problem(), HasSubstr("is not a matrix"));
  put_weights({});
  EXPECT_THAT(problem(), HasSubstr("holds no tensors"));
}

TEST_F(PeftFolder, OtherTensorsAreRefusedByName) {
  const auto problem_with = [&](const std::string& name) {
    put_weights({{kNameA, {2, 3}}, {kNameB, {5, 2}}, {name, {2}}});
    const std::string text = problem();
    EXPECT_THAT(text, HasSubstr("tensor " + name + " "));
    return text;
  };
  EXPECT_THAT(problem_with("base_model.model.model.embed_tokens.lora_embedding_A"), HasSubstr("adapts an embedding"));
  EXPECT_THAT(problem_with("base_model.model.lm_head.modules_to_save.weight"), HasSubstr("is a whole trained module"));
  EXPECT_THAT(problem_with("base_model.model.q_proj.lora_B.bias"), HasSubstr("is a trained bias"));
  EXPECT_THAT(problem_with("base_model.model.model.norm.weight"), HasSubstr("is not named as a tensor of LoRA, DoRA, IA3"));
  EXPECT_THAT(problem_with("model.q_proj.lora_A.weight"), HasSubstr("is not named as a tensor of LoRA, DoRA, IA3"));
  EXPECT_THAT(problem_with("base_model.model..lora_A"), HasSubstr("is not named as a tensor of LoRA, DoRA, IA3"));
}

TEST_F(PeftFolder, DoraHasMagnitudesUnderBothNames) {
  const std::string magnitude = "base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector";
  put_weights({{kNameA, {2, 3}}, {kNameB, {5, 2}}, {magnitude, {5}}});
  EXPECT_THAT(problem(), HasSubstr("holds model.layers.0.self_attn.q_proj.lora_magnitude_vector, and use_dora is not true in "
                                   "adapter_config.json; save the adapter again"));
  PeftConfig config = small_config();
  config.method = Method::dora;
  put_file(scratch_ / "adapter_config.json", adapter_config_text(config));
  for (const char* ending : {"", ".weight"}) {  // PEFT writes it without, its own names in memory have one
    put_weights({{kNameA, {2, 3}}, {kNameB, {5, 2}}, {magnitude + ending, {5}}});
    const PeftAdapter adapter = read_peft_adapter(scratch_.path());
    EXPECT_EQ(adapter.config.method, Method::dora);
    EXPECT_THAT(adapter.tensors.at("model.layers.0.self_attn.q_proj.lora_magnitude_vector").shape, ElementsAre(5));
  }
  put_weights({{kNameA, {2, 3}}, {kNameB, {5, 2}}, {magnitude, {5, 1}}});
  EXPECT_THAT(problem(), HasSubstr("is not a vector, as DoRA's magnitudes are"));
  put_weights({{kNameA, {2, 3}}, {kNameB, {5, 2}}});
  EXPECT_THAT(problem(), HasSubstr("without lora_magnitude_vector; save the adapter again"));
  put_weights({{kNameA, {2, 3}}, {kNameB, {5, 2}}, {magnitude, {4}}});
  EXPECT_THAT(problem(), HasSubstr("lora_magnitude_vector is [4], and its module has 5 outputs; save the adapter again"));
  put_weights({{magnitude, {5}}});
  EXPECT_THAT(problem(), HasSubstr("holds model.layers.0.self_attn.q_proj.lora_magnitude_vector without lora_A"));
}

TEST_F(PeftFolder, Ia3HasRowsOrColumns) {
  PeftConfig config;
  config.method = Method::ia3;
  config.target_modules = {"q_proj", "down_proj"};
  config.feedforward_modules = {"down_proj"};
  put_file(scratch_ / "adapter_config.json", adapter_config_text(config));
  const std::string q = "base_model.model.model.layers.0.self_attn.q_proj.ia3_l";
  const std::string down = "base_model.model.model.layers.0.mlp.down_proj.ia3_l";
  put_weights({{q, {5, 1}}, {down, {1, 3}}});
  const PeftAdapter adapter = read_peft_adapter(scratch_.path());
  EXPECT_EQ(adapter.config.method, Method::ia3);
  EXPECT_THAT(adapter.config.feedforward_modules, ElementsAre("down_proj"));
  put_weights({{q, {1, 5}}, {down, {1, 3}}});
  EXPECT_THAT(problem(),
              HasSubstr("q_proj.ia3_l is [1, 5], and feedforward_modules of adapter_config.json do not name its module, "
                        "which then has [outputs, 1]; save the adapter again"));
  put_weights({{q, {5, 1}}, {down, {3, 3}}});
  EXPECT_THAT(problem(), HasSubstr("down_proj.ia3_l is [3, 3], and feedforward_modules of adapter_config.json name its module, "
                                   "which then has [1, inputs]; save the adapter again"));
  put_weights({{q, {5, 1}}, {kNameA, {2, 3}}});
  EXPECT_THAT(problem(), HasSubstr("and adapter_config.json describes a ia3 adapter; save the adapter again"));
}

constexpr const char* kQ = "base_model.model.model.layers.0.self_attn.q_proj.";

TEST_F(PeftFolder, VeraHasFactorsAndSharedProjections) {
  PeftConfig config;
  config.method = Method::vera;
  config.r = 2;
  config.target_modules = {"q_proj"};
  put_file(scratch_ / "adapter_config.json", adapter_config_text(config));
  const std::string b = std::string(kQ) + "vera_lambda_b";
  const std::string d = std::string(kQ) + "vera_lambda_d";
  put_weights({{b, {5}}, {d, {2}}, {"base_model.vera_A", {2, 7}}, {"base_model.vera_B", {6, 2}}});
  const PeftAdapter adapter = read_peft_adapter(scratch_.path());
  EXPECT_EQ(adapter.config.method, Method::vera);
  EXPECT_EQ(adapter.tensors.size(), 2U);
  EXPECT_THAT(adapter.shared.at("vera_A").shape, ElementsAre(2, 7));
  put_weights({{b, {5}}, {d, {2}}, {"base_model.vera_A", {2, 7}}});
  EXPECT_THAT(problem(), HasSubstr("has no base_model.vera_B, which adapter_config.json promises; save the adapter again"));
  put_weights({{b, {5}}, {d, {2}}, {"base_model.vera_A", {3, 7}}, {"base_model.vera_B", {6, 2}}});
  EXPECT_THAT(problem(), HasSubstr("base_model.vera_A is [3, 7], and adapter_config.json gives r = 2; save the adapter again"));
  put_weights({{b, {5}}, {d, {3}}, {"base_model.vera_A", {2, 7}}, {"base_model.vera_B", {6, 2}}});
  EXPECT_THAT(problem(), HasSubstr("vera_lambda_d is [3], and adapter_config.json gives r = 2"));
  put_weights({{b, {5, 1}}, {d, {2}}, {"base_model.vera_A", {2, 7}}, {"base_model.vera_B", {6, 2}}});
  EXPECT_THAT(problem(), HasSubstr("is not a vector, as VeRA's factors are"));
  put_weights({{b, {5}}, {"base_model.vera_A", {2, 7}}, {"base_model.vera_B", {6, 2}}});
  EXPECT_THAT(problem(), HasSubstr("vera_lambda_b without vera_lambda_d; save the adapter again"));
  config.save_shared = false;
  put_file(scratch_ / "adapter_config.json", adapter_config_text(config));
  put_weights({{b, {5}}, {d, {2}}});
  EXPECT_TRUE(read_peft_adapter(scratch_.path()).shared.empty());
}

TEST_F(PeftFolder, AdaLoraHasTheRanksThatAreLeft) {
  PeftConfig config;
  config.method = Method::adalora;
  config.r = config.adalora.init_r = 3;
  config.target_modules = {"q_proj"};
  config.kept_ranks = {{"model.layers.0.self_attn.q_proj", {true, false, true}}};
  put_file(scratch_ / "adapter_config.json", adapter_config_text(config));
  const std::string a = std::string(kQ) + "lora_A";
  const std::string b = std::string(kQ) + "lora_B";
  const std::string e = std::string(kQ) + "lora_E";
  put_weights({{a, {2, 4}}, {b, {5, 2}}, {e, {2, 1}}});
  EXPECT_EQ(read_peft_adapter(scratch_.path()).config.kept_ranks, config.kept_ranks);
  put_weights({{a, {3, 4}}, {b, {5, 3}}, {e, {3, 1}}});
  EXPECT_THAT(problem(), HasSubstr("lora_A is [3, 4], and adapter_config.json gives its module rank 2"));
  put_weights({{a, {2, 4}}, {b, {5, 2}}});
  EXPECT_THAT(problem(), HasSubstr("lora_A without lora_E; save the adapter again"));
  config.kept_ranks = {{"model.layers.0.self_attn.q_proj", {false, false, false}}};
  put_file(scratch_ / "adapter_config.json", adapter_config_text(config));
  put_weights({{a, {0, 4}}, {b, {5, 0}}, {e, {0, 1}}});
  EXPECT_EQ(read_peft_adapter(scratch_.path()).tensors.size(), 3U);
  put_file(scratch_ / "adapter_config.json",
           R"({"peft_type":"ADALORA","init_r":3,"rank_pattern":{"q_proj.lora_E":[true,false]}})");
  EXPECT_THAT(problem(), HasSubstr("rank_pattern has the key \"q_proj.lora_E\"; AdaLoRA's are names of lora_E with a list of "
                                   "init_r = 3 flags"));
  put_file(scratch_ / "adapter_config.json", R"({"peft_type":"ADALORA","tinit":-1})");
  EXPECT_THAT(problem(), HasSubstr("tinit must be a whole number from 0 (got -1)"));
}

/// In bf16 the factors are rounded, the magnitudes are not.
TEST(PeftAdapter, MagnitudesStayInFp32) {
  const Scratch scratch;
  PeftConfig config = small_config();
  config.method = Method::dora;
  const std::string module = "model.layers.0.self_attn.q_proj";
  const std::vector<AdapterTensor> tensors = {
      {module + ".lora_A", {2, 3}, 0, 6}, {module + ".lora_B", {5, 2}, 6, 10}, {module + ".lora_magnitude_vector", {5}, 16, 5}};
  const std::vector<float> params = {1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1.0001F, 2.0002F, 3.0003F, 4, 5};
  write_peft_adapter(scratch / "adapter", config, tensors, params, DType::bf16);
  const TensorDirectory directory = read_safetensors_header(scratch / "adapter/adapter_model.safetensors");
  EXPECT_EQ(directory.tensors.at(kNameA).dtype, DType::bf16);
  EXPECT_EQ(directory.tensors.at("base_model.model." + module + ".lora_magnitude_vector").dtype, DType::f32);
  EXPECT_THAT(read_peft_adapter(scratch / "adapter").tensors.at(module + ".lora_magnitude_vector").values,
              ElementsAre(1.0001F, 2.0002F, 3.0003F, 4.0F, 5.0F));
}

TEST_F(PeftFolder, AnIntegerFactorIsRefused) {
  const std::vector<std::uint8_t> codes(6);
  write_safetensors(scratch_ / "adapter_model.safetensors", {{kNameA, DType::u8, {2, 3}, std::as_bytes(std::span(codes))}});
  EXPECT_THAT(problem(), HasSubstr("is u8, and f32, f16 or bf16 is needed"));
}

TEST_F(PeftFolder, MissingFilesAreNamed) {
  EXPECT_THAT(problem(), HasSubstr("has no adapter_model.safetensors"));
  put_file(scratch_ / "adapter_model.bin", "x");
  EXPECT_THAT(problem(),
              AllOf(HasSubstr("holds adapter_model.bin, which only Python can read"), HasSubstr("save_file(torch.load(")));
  fs::remove(scratch_ / "adapter_config.json");
  EXPECT_THAT(problem(), HasSubstr("has no adapter_config.json"));
  EXPECT_THAT(thrown_by([&] { read_peft_adapter(scratch_ / "none"); }).message, HasSubstr("is not a folder"));
}

TEST_F(PeftFolder, ATruncatedFileIsRefused) {
  put_weights({{kNameA, {2, 3}}, {kNameB, {5, 2}}});
  const fs::path file = scratch_ / "adapter_model.safetensors";
  fs::resize_file(file, fs::file_size(file) - 1);
  EXPECT_THAT(problem(), HasSubstr("(truncated)"));
}

TEST(PeftAdapter, TheModelCardShowsHowTheBaseWasHeld) {
  const Scratch scratch;
  const std::vector<float> params = counting(16);
  const auto card_of = [&](const BaseFormat& base) {
    write_peft_adapter(scratch / "adapter", small_config(), kTensors, params, DType::f32, {{"base_format", json_of(base)}});
    return get_file(scratch / "adapter/README.md");
  };
  const std::string nf4 = card_of({Quantization::nf4, true, 64});
  EXPECT_THAT(nf4,
              AllOf(HasSubstr("trained on the base held as NF4 with double quantization, blocks of 64. On the plain base"),
                    HasSubstr("import AutoModelForCausalLM, BitsAndBytesConfig"),
                    HasSubstr("from_pretrained(\"models/tiny\", quantization_config=BitsAndBytesConfig(\n    load_in_4bit=True, "
                              "bnb_4bit_quant_type=\"nf4\", bnb_4bit_use_double_quant=True))\nmodel = ")));
  EXPECT_THAT(card_of({Quantization::fp4, false, 64}),
              HasSubstr("bnb_4bit_quant_type=\"fp4\", bnb_4bit_use_double_quant=False))"));
  EXPECT_THAT(card_of({Quantization::nf4, true, 128}), HasSubstr("not of 128, and so differs too. `lora_dist merge` writes"));
  EXPECT_THAT(card_of({Quantization::int8, true, 64}),
              AllOf(HasSubstr("load_in_8bit=True"), HasSubstr("rounds activations as well")));
  EXPECT_THAT(card_of({Quantization::none, true, 64}),
              AllOf(HasSubstr("from_pretrained(\"models/tiny\")\n"), testing::Not(HasSubstr("BitsAndBytes"))));
}

TEST_F(PeftFolder, AnAdapterOfTheHeadIsCalledThat) {
  put_weights({{kNameA, {2, 3}}, {kNameB, {5, 2}}, {"base_model.model.lm_head.lora_A.weight", {2, 3}}});
  EXPECT_THAT(problem(),
              HasSubstr("tensor base_model.model.lm_head.lora_A.weight adapts the head, which this program does not do"));
}

TEST_F(PeftFolder, WholeTablesAreLeftToTheComparisonWithTheBase) {
  put_weights({{kNameA, {2, 3}},
               {kNameB, {5, 2}},
               {"base_model.model.lm_head.weight", {4, 3}},
               {"base_model.model.model.embed_tokens.base_layer.weight", {4, 3}}});
  const PeftAdapter adapter = read_peft_adapter(scratch_.path());
  EXPECT_EQ(adapter.tensors.size(), 2U);
  ASSERT_EQ(adapter.tables.size(), 2U);
  EXPECT_THAT(adapter.tables.at("lm_head").shape, ElementsAre(4, 3));
  EXPECT_THAT(adapter.tables.at("model.embed_tokens").shape, ElementsAre(4, 3));
}

}  // namespace
}  // namespace lora_dist::peft_adapter_test
