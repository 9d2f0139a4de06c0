// Tensors of GGUF files under the names, and in the order, of the Hugging Face folders that they were made from
// (tests/golden/make_gguf.py and make_gguf_families.py), and what is no model that can be read.
#include "src/io/gguf_architecture.h"

#include <gmock/gmock.h>

#include <cmath>
#include <cstring>
#include <random>

#include "kernels/common/half.h"
#include "src/io/gguf_model.h"
#include "tests/support/demo_gguf.h"
#include "tests/support/scratch.h"

namespace lora_dist::gguf_architecture_test {
namespace {

using test::GgufWriter;
using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::byte> bytes_of(const TensorInfo& tensor) {
  std::vector<std::byte> out(tensor.bytes);
  read_tensor_bytes(tensor, 0, out);
  return out;
}

std::vector<float> values_of(const TensorInfo& tensor) {
  const std::vector<std::byte> bytes = bytes_of(tensor);
  const std::size_t width = size_of(tensor.dtype);
  std::vector<float> out(bytes.size() / width);
  for (std::size_t i = 0; i < out.size(); ++i) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, bytes.data() + i * width, width);
    const auto half = static_cast<std::uint16_t>(bits);
    out[i] = tensor.dtype == DType::f32    ? std::bit_cast<float>(bits)
             : tensor.dtype == DType::bf16 ? float_of_bf16(half)
                                           : float_of_f16(half);
  }
  return out;
}

class GgufFamilies : public testing::TestWithParam<const char*> {};

TEST_P(GgufFamilies, TensorsAreThoseOfTheFolder) {
  const std::string name = GetParam();
  const TensorDirectory folder = read_model_directory(source_dir() / "tests/golden/families" / name);
  const TensorDirectory gguf = read_model_directory(source_dir() / "tests/golden/gguf" / (name + ".gguf"));
  EXPECT_EQ(gguf.tensors.size(), folder.tensors.size());
  for (const auto& [tensor, info] : folder.tensors) {
    ASSERT_TRUE(gguf.tensors.contains(tensor)) << tensor;
    const TensorInfo& ours = gguf.tensors.at(tensor);
    EXPECT_EQ(ours.shape, info.shape) << tensor;
    if (name == "gemma" && tensor.ends_with("norm.weight")) {  // w + 1 was rounded
      EXPECT_THAT(values_of(ours), testing::Pointwise(testing::FloatNear(6e-8F), values_of(info))) << tensor;
    } else {
      EXPECT_EQ(values_of(ours), values_of(info)) << tensor;
    }
  }
}

TEST_P(GgufFamilies, PartsOfATensorAreThoseOfTheWhole) {
  std::mt19937 random(1);
  for (const auto& [name, tensor] :
       read_model_directory(source_dir() / "tests/golden/gguf" / (std::string(GetParam()) + ".gguf")).tensors) {
    const std::vector<std::byte> whole = bytes_of(tensor);
    const std::size_t width = size_of(tensor.dtype);
    for (int i = 0; i < 5; ++i) {
      const std::size_t from = random() % (whole.size() / width) * width;
      std::vector<std::byte> part((random() % ((whole.size() - from) / width) + 1) * width);
      read_tensor_bytes(tensor, from, part);
      EXPECT_EQ(std::memcmp(part.data(), whole.data() + from, part.size()), 0) << name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, GgufFamilies,
                         testing::Values("llama3", "qwen2_window", "qwen3", "gemma", "gpt2", "gpt_neox_parallel", "exaone3",
                                         "exaone4_hybrid", "phi3", "phi3_window", "olmo3", "glm4", "granite", "stablelm",
                                         "stablelm_parallel", "starcoder2", "ministral3", "internlm3"),
                         [](const auto& info) { return std::string(info.param); });

/// A part may begin and end within a block; rows of llama's q lie apart.
TEST(GgufArchitecture, PartsOfQuantizedTensors) {
  const Scratch scratch;
  std::mt19937 random(1);
  GgufWriter out;
  test::add_demo_keys(out);
  std::string blocks;
  for (int i = 0; i < 64 * 2; ++i) {  // 64 rows of two blocks of Q8_0
    blocks += std::string("\x00\x3C", 2);
    for (int value = 0; value < 32; ++value) {
      blocks += static_cast<char>(random() % 256);
    }
  }
  out.tensor("blk.0.attn_q.weight", {64, 64}, 8, blocks);
  out.tensor("blk.0.attn_v.weight", {64, 64}, 8, blocks);
  put_file(scratch / "m.gguf", out.content());
  const TensorDirectory directory = gguf_directory(read_gguf(scratch / "m.gguf"));
  const std::vector<float> v = values_of(directory.tensors.at("model.layers.0.self_attn.v_proj.weight"));
  const TensorInfo& info = directory.tensors.at("model.layers.0.self_attn.q_proj.weight");
  EXPECT_EQ(dtype_text(info), "Q8_0");
  EXPECT_EQ(info.dtype, DType::f32);
  const std::vector<float> q = values_of(info);
  for (std::size_t row = 0; row < 64; ++row) {
    const std::size_t there = row / 8 * 8 + row % 4 * 2 + row % 8 / 4;
    EXPECT_TRUE(std::equal(q.begin() + row * 64, q.begin() + row * 64 + 64, v.begin() + there * 64)) << row;
  }
  std::vector<float> part(300);
  read_tensor_bytes(info, 777 * 4, std::as_writable_bytes(std::span(part)));
  EXPECT_TRUE(std::equal(part.begin(), part.end(), q.begin() + 777));
}

/// What opening a file says whose keys and tensors are those of the demo but for what `change` does.
template <class Change>
std::string problem_of(Change change) {
  const Scratch scratch;
  GgufWriter out;
  change(out);
  put_file(scratch / "m.gguf", out.content());
  const Thrown error = thrown_by([&] {
    const GgufFile file = read_gguf(scratch / "m.gguf");
    gguf_config(file);
    gguf_directory(file);
  });
  EXPECT_EQ(error.code, ExitCode::model);
  EXPECT_THAT(error.message, HasSubstr((scratch / "m.gguf").string()));
  return error.message;
}

/// The demo with one more key or tensor.
template <class Change>
std::string problem_with(Change change) {
  return problem_of([&](GgufWriter& out) {
    test::add_demo_keys(out);
    change(out);
    test::add_demo_tensors(out);
  });
}

TEST(GgufArchitecture, OtherFilesAreRefusedByName) {
  EXPECT_THAT(problem_of([](GgufWriter& out) { out.text("general.architecture", "mamba"); }),
              HasSubstr("the architecture mamba is not known (cohere2, exaone, exaone4, gemma, gemma2, gemma3, glm4, gpt2, "
                        "gptneox, granite, llama, mistral3, nemotron, olmo2, phi3, qwen2, qwen3, smollm3, stablelm, "
                        "starcoder2 are)"));
  EXPECT_THAT(problem_of([](GgufWriter& out) { out.text("general.type", "imatrix"); }),
              HasSubstr("this is an importance matrix"));
  EXPECT_THAT(problem_of([](GgufWriter& out) { out.texts("imatrix.datasets", {"a"}); }),
              HasSubstr("this is an importance matrix"));
  EXPECT_THAT(problem_of([](GgufWriter& out) { out.text("general.type", "adapter"); }), HasSubstr("general.type is \"adapter\""));
  EXPECT_THAT(problem_of([](GgufWriter& out) { out.number("x", 1); }), HasSubstr("key general.architecture is missing"));
  EXPECT_THAT(problem_of([](GgufWriter& out) {
                test::add_demo_keys(out);
                out.number("llama.expert_count", 8);
                test::add_demo_tensors(out);
              }),
              HasSubstr("a mixture of 8 experts"));
}

TEST(GgufArchitecture, TextsOfTheFileAreEscaped) {
  const std::string odd = "a\x1B[31m\n\xFF";
  const std::string escaped = "a\\u001B[31m\\u000A\\xFF";
  EXPECT_THAT(problem_of([&](GgufWriter& out) { out.text("general.architecture", odd); }),
              HasSubstr("the architecture " + escaped + " is not known"));
  EXPECT_THAT(problem_of([&](GgufWriter& out) { out.text("general.type", odd); }),
              HasSubstr("general.type is \"" + escaped + "\""));
  EXPECT_THAT(
      problem_with([&](GgufWriter& out) { out.text("llama.rope.scaling.type", odd); }),
      HasSubstr("llama.rope.scaling.type is \"" + escaped + "\", which is not supported (none, linear, yarn and longrope are)"));
}

TEST(GgufArchitecture, ModelsThatAttendInBothDirections) {
  EXPECT_THAT(problem_with([](GgufWriter& out) { out.flag("llama.attention.causal", false); }),
              HasSubstr("this is an embedding model that attends in both directions; only causal models are supported"));
}

TEST(GgufArchitecture, WhatDoesNotFit) {
  EXPECT_THAT(problem_of([](GgufWriter& out) { test::add_demo_keys(out); }), HasSubstr("token_embd.weight is missing"));
  EXPECT_THAT(problem_of([](GgufWriter& out) {
                test::add_demo_keys(out);
                test::add_demo_tensors(out);
                out.texts("tokenizer.ggml.tokens", {"a", "b"});
              }),
              HasSubstr("tokenizer.ggml.tokens has 2 tokens and token_embd.weight 512 rows"));
  EXPECT_THAT(problem_of([](GgufWriter& out) {
                out.text("general.architecture", "llama");
                out.number("llama.attention.head_count", 8);
                test::add_demo_tensors(out);
              }),
              HasSubstr("key llama.embedding_length is missing"));
  EXPECT_THAT(problem_of([](GgufWriter& out) {
                test::add_demo_keys(out);
                out.tensor("blk.0.attn_q.weight", {4, 6}, 0, std::string(96, '\0'));
                out.tensor("token_embd.weight", {64, 512}, 0, std::string(std::size_t{64} * 512 * 4, '\0'));
              }),
              HasSubstr("tensor blk.0.attn_q.weight of 6 rows cannot be divided by 8 heads"));
  EXPECT_THAT(problem_of([](GgufWriter& out) {
                test::add_demo_keys(out);
                test::add_demo_tensors(out);
                out.tensor("rope_freqs.weight", {4}, 0, std::string("\0\0\x80\x3f\0\0\x40\x40\0\0\x80\x3f\0\0\x80\x3f", 16));
              }),
              HasSubstr("stretches rotations in a way that is not Llama 3.1's"));
}

TEST(GgufArchitecture, KeysThatLie) {
  EXPECT_THAT(problem_with([](GgufWriter& out) { out.tensor("blk.5.attn_norm.weight", {64}, 0, std::string(256, '\0')); }),
              HasSubstr("it has the tensor blk.5.attn_norm.weight, and llama.block_count is 5; convert the model again"));
  EXPECT_THAT(problem_with([](GgufWriter& out) { out.real("llama.rope.freq_base_swa", std::nanf("")); }),
              HasSubstr("llama.rope.freq_base_swa is nan, and must be a finite number; convert the model again"));
}

TEST(GgufArchitecture, KeysThatAreNotSupported) {
  EXPECT_THAT(problem_with([](GgufWriter& out) { out.number("llama.attention.sliding_window", 4096); }),
              HasSubstr("llama.attention.sliding_window is set; sliding windows are not supported for llama in GGUF files"));
  EXPECT_THAT(problem_with([](GgufWriter& out) { out.real("llama.rope.freq_base_swa", 123.0F); }),
              HasSubstr("llama.rope.freq_base_swa differs from rope.freq_base, which is not supported"));
  EXPECT_THAT(problem_with([](GgufWriter& out) {
                out.list("llama.rope.dimension_sections", 5, std::vector<std::int32_t>{1, 2});
              }),
              HasSubstr("rope.dimension_sections"));
  EXPECT_THAT(problem_with([](GgufWriter& out) {
                out.number("llama.attention.key_length", 8);
                out.number("llama.attention.value_length", 16);
              }),
              HasSubstr("attention.key_length and attention.value_length differ"));
  EXPECT_THAT(problem_with([](GgufWriter& out) { out.number("llama.attention.key_length", 16); }),
              HasSubstr("llama.rope.dimension_count is 8, and models of this architecture rotate whole heads (16 dimensions)"));
  EXPECT_THAT(problem_with([](GgufWriter& out) { out.tensor("rope_freqs.weight", {2}, 0, std::string(8, '\0')); }),
              HasSubstr("tensor rope_freqs.weight must be 4 values of F32"));
  EXPECT_THAT(problem_with([](GgufWriter& out) { out.tensor("model.norm.weight", {64}, 0, std::string(256, '\0')); }),
              HasSubstr("tensors of two names are both model.norm.weight"));
  const auto with_heads = [](const std::vector<std::int32_t>& heads) {
    return problem_of([&](GgufWriter& out) {
      out.text("general.architecture", "llama");
      out.number("llama.embedding_length", 64);
      out.number("llama.block_count", 5);
      out.list("llama.attention.head_count", 5, heads);
      test::add_demo_tensors(out);
    });
  };
  EXPECT_THAT(with_heads({8, 4}), HasSubstr("key llama.attention.head_count differs from layer to layer"));
  EXPECT_THAT(with_heads({0, 0}), HasSubstr("key llama.attention.head_count must be from 1 to 65536 (it is 0)"));
  EXPECT_THAT(problem_of([](GgufWriter& out) {
                out.text("general.architecture", "gemma");
                out.number("gemma.attention.head_count", 1);
                for (const char* key : {"embedding_length", "block_count", "context_length", "feed_forward_length"}) {
                  out.number(std::string("gemma.") + key, 2);
                }
                out.tensor("token_embd.weight", {2, 1}, 0, std::string(8, '\0'));
              }),
              HasSubstr("key gemma.attention.layer_norm_rms_epsilon is missing"));
}

TEST(GgufArchitecture, NormsOfGemmaAndEmptyFiles) {
  const Scratch scratch;
  GgufWriter gemma;
  gemma.text("general.architecture", "gemma");
  gemma.tensor("output_norm.weight", {2}, 1, std::string(4, '\0'));
  put_file(scratch / "m.gguf", gemma.content());
  EXPECT_THAT(thrown_by([&] { gguf_directory(read_gguf(scratch / "m.gguf")); }).message,
              HasSubstr("tensor output_norm.weight is F16, and norms must be F32"));
  GgufWriter keys;
  test::add_demo_keys(keys);
  put_file(scratch / "m.gguf", keys.content());
  EXPECT_THAT(thrown_by([&] { gguf_directory(read_gguf(scratch / "m.gguf")); }).message,
              HasSubstr("there are no tensors in it, only keys"));
}

TEST(GgufModel, WhichFileAFolderHas) {
  const Scratch scratch;
  EXPECT_EQ(find_gguf(scratch.path()), std::nullopt);
  scratch.write("m/b-00001-of-00002.gguf", "");
  scratch.write("m/b-00002-of-00002.gguf", "");
  EXPECT_EQ(find_gguf(scratch / "m"), scratch / "m" / "b-00001-of-00002.gguf");
  EXPECT_EQ(find_gguf(scratch / "m/b-00002-of-00002.gguf"), scratch / "m/b-00002-of-00002.gguf");
  scratch.write("m/a.gguf", "");
  const Thrown error = thrown_by([&] { find_gguf(scratch / "m"); });
  EXPECT_EQ(error.code, ExitCode::model);
  EXPECT_THAT(error.message, HasSubstr("several GGUF files (a.gguf, b-00001-of-00002.gguf); name the one that is meant"));
  scratch.write("m/model.safetensors", "");
  EXPECT_EQ(find_gguf(scratch / "m"), std::nullopt);
}

TEST(GgufModel, LaterPartsAloneAndUpperCase) {
  const Scratch scratch;
  GgufWriter part;
  part.raw_key("split.no", 2, test::bytes_of(std::uint16_t{1}));
  part.raw_key("split.count", 2, test::bytes_of(std::uint16_t{3}));
  std::filesystem::create_directory(scratch / "m");
  for (const char* name : {"m-00002-of-00003.gguf", "m-00003-of-00003.gguf"}) {
    put_file(scratch / "m" / name, part.content());
  }
  const auto found = find_gguf(scratch / "m");
  ASSERT_EQ(found, scratch / "m" / "m-00002-of-00003.gguf");
  EXPECT_THAT(thrown_by([&] { read_gguf(*found); }).message, HasSubstr("m-00001-of-00003.gguf is missing"));
  scratch.write("u/B-00001-of-00002.GGUF", "");
  scratch.write("u/B-00002-of-00002.GGUF", "");
  EXPECT_EQ(find_gguf(scratch / "u"), scratch / "u" / "B-00001-of-00002.GGUF");
  EXPECT_EQ(find_gguf(scratch / "u/B-00002-of-00002.GGUF"), scratch / "u/B-00002-of-00002.GGUF");
}

/// A tiny model of another architecture: keys that all have, then those of `change`.
template <class Change>
nlohmann::ordered_json config_of(const std::string& architecture, Change change, std::int64_t layers = 2) {
  const Scratch scratch;
  GgufWriter out;
  out.text("general.architecture", architecture);
  const std::vector<std::pair<std::string, std::uint32_t>> sizes = {{"block_count", static_cast<std::uint32_t>(layers)},
                                                                    {"embedding_length", 8},
                                                                    {"context_length", 64},
                                                                    {"feed_forward_length", 8},
                                                                    {"attention.head_count", 2}};
  for (const auto& [name, size] : sizes) {
    out.number(architecture + "." + name, size);
  }
  const bool layer_norm = architecture == "cohere2" || architecture == "nemotron" || architecture == "stablelm";
  out.real(architecture + (layer_norm ? ".attention.layer_norm_epsilon" : ".attention.layer_norm_rms_epsilon"), 1e-5F);
  change(out);
  out.tensor("token_embd.weight", {8, 3}, 0, std::string(96, '\0'));
  put_file(scratch / "m.gguf", out.content());
  return gguf_config(read_gguf(scratch / "m.gguf"));
}

template <class Change>
std::string config_problem(const std::string& architecture, Change change, std::int64_t layers = 2) {
  const Thrown error = thrown_by([&] { config_of(architecture, change, layers); });
  EXPECT_EQ(error.code, ExitCode::model);
  EXPECT_THAT(error.message, HasSubstr("m.gguf: "));
  return error.message;
}

/// Which layers have windows: those of a list, of a number, or of the architecture's own number (llama.cpp, load_swa_pattern).
TEST(GgufModel, LayersWithWindows) {
  const auto kinds = [](const std::string& architecture, auto change) {
    const auto config = config_of(
        architecture,
        [&](GgufWriter& out) {
          out.number(architecture + ".attention.sliding_window", 5);
          change(out);
        },
        7);
    EXPECT_EQ(config["sliding_window"], 5);
    std::string out;
    for (const std::string kind : config.at("layer_types")) {
      out += kind == "sliding_attention" ? 's' : 'f';
    }
    return out;
  };
  const auto nothing = [](GgufWriter&) {};
  EXPECT_EQ(kinds("gemma3", nothing), "sssssfs");
  EXPECT_EQ(kinds("gemma2", nothing), "sfsfsfs");
  EXPECT_EQ(kinds("cohere2", nothing), "sssfsss");
  EXPECT_EQ(kinds("olmo2", nothing), "sssfsss");
  EXPECT_EQ(kinds("gemma3", [](GgufWriter& out) { out.number("gemma3.attention.sliding_window_pattern", 3); }), "ssfssfs");
  EXPECT_EQ(kinds("gemma3", [](GgufWriter& out) { out.number("gemma3.attention.sliding_window_pattern", 0); }), "sssssss");
  EXPECT_EQ(kinds("olmo2",
                  [](GgufWriter& out) {
                    out.list("olmo2.attention.sliding_window_pattern", 5, std::vector<std::int32_t>{1, 0, 0, 1, 1, 0, 0});
                  }),
            "sffssff");
  EXPECT_EQ(config_of("gemma2", nothing)["sliding_window"], 4096);
  EXPECT_TRUE(config_of("gemma3", nothing)["sliding_window"].is_null());
  EXPECT_EQ(config_of("olmo2", nothing)["model_type"], "olmo2");
  EXPECT_EQ(config_of("olmo2", [](GgufWriter& out) { out.number("olmo2.attention.sliding_window", 4); })["model_type"], "olmo3");
  EXPECT_THAT(config_problem(
                  "gemma3",
                  [](GgufWriter& out) {
                    out.number("gemma3.attention.sliding_window", 5);
                    out.number("gemma3.attention.sliding_window_pattern", 3);
                  },
                  200000),
              HasSubstr("gemma3.attention.sliding_window_pattern is 3, and block_count 200000; convert the model again"));
}

/// What has no key in files is as llama.cpp has it.
TEST(GgufModel, ANegativeWindow) {
  EXPECT_THAT(config_problem("gemma3",
                             [](GgufWriter& out) {
                               out.raw_key("gemma3.attention.sliding_window", 5, std::string(4, '\xFF'));  // -1 as i32
                             }),
              HasSubstr("gemma3.attention.sliding_window is -1, and must not be negative; convert the model again"));
}

TEST(GgufModel, WhatFilesLeaveUnsaid) {
  const auto nothing = [](GgufWriter&) {};
  EXPECT_EQ(config_of("gemma2", nothing)["query_pre_attn_scalar"], 4);
  EXPECT_TRUE(config_of("gemma2", nothing)["query_pre_attn_scalar"].is_number_integer());  // transformers takes no others
  EXPECT_TRUE(config_of("gemma2", nothing)["pad_token_id"].is_null());
  EXPECT_EQ(config_of("gemma2", [](GgufWriter& out) { out.number("tokenizer.ggml.padding_token_id", 0); })["pad_token_id"], 0);
  const auto wide_heads = [](GgufWriter& out) {
    out.number("gemma2.attention.key_length", 6);
    out.number("gemma2.attention.value_length", 6);
  };
  EXPECT_EQ(config_of("gemma2", wide_heads)["query_pre_attn_scalar"], 6.0);
  EXPECT_EQ(config_of("gemma2", wide_heads, 46)["query_pre_attn_scalar"], 4.0);  // Gemma 2 27B
  const auto gemma3 = config_of("gemma3", nothing)["rope_parameters"];
  EXPECT_EQ(gemma3["sliding_attention"]["rope_theta"], 10000.0);
  EXPECT_EQ(config_of("granite", nothing)["attention_multiplier"], 0.5);
  EXPECT_EQ(config_of("smollm3", nothing)["no_rope_layer_interval"], 4);
  EXPECT_EQ(config_of("mistral3", nothing)["rope_scaling"]["rope_type"], "default");
  EXPECT_EQ(config_of("stablelm", nothing)["use_parallel_residual"], true);  // there is no second norm
  EXPECT_EQ(
      config_of("nemotron", [](GgufWriter& out) { out.number("nemotron.rope.dimension_count", 2); })["partial_rotary_factor"],
      0.5);
  EXPECT_THAT(
      config_problem("nemotron", [](GgufWriter& out) { out.number("nemotron.rope.dimension_count", 6); }),
      HasSubstr("nemotron.rope.dimension_count is 6, and models of this architecture rotate a part of heads (4 dimensions)"));
  EXPECT_THAT(config_problem("granite", [](GgufWriter& out) { out.flag("granite.rope.scaling.finetuned", false); }),
              HasSubstr("this is a Granite without rotation of positions, which is not supported"));
}

TEST(GgufModel, YarnAndLongrope) {
  const auto scaling = [](const std::string& architecture, auto change) {
    return config_of(architecture, change)["rope_scaling"];
  };
  const auto yarn = [&](auto change) {
    return scaling("qwen2", [&](GgufWriter& out) {
      out.text("qwen2.rope.scaling.type", "yarn");
      out.real("qwen2.rope.scaling.factor", 4.0F);
      out.number("qwen2.rope.scaling.original_context_length", 16);
      change(out);
    });
  };
  const auto plain = yarn([](GgufWriter&) {});
  EXPECT_EQ(plain["rope_type"], "yarn");
  EXPECT_EQ(plain["factor"], 4.0);
  EXPECT_EQ(plain["original_max_position_embeddings"], 16);
  EXPECT_FALSE(plain.contains("attention_factor"));
  EXPECT_EQ(yarn([](GgufWriter& out) { out.real("qwen2.rope.scaling.yarn_attn_factor", 1.5F); })["attention_factor"], 1.5);
  const double twice = 2.0 * (0.1 * std::log(4.0) + 1.0);
  EXPECT_EQ(yarn([](GgufWriter& out) { out.real("qwen2.rope.scaling.attn_factor", 2.0F); })["attention_factor"], twice);
  EXPECT_THAT(config_problem("qwen2", [](GgufWriter& out) { out.text("qwen2.rope.scaling.type", "yarn"); }),
              HasSubstr("key qwen2.rope.scaling.factor is missing, which yarn needs"));
  EXPECT_THAT(config_problem("qwen2",
                             [](GgufWriter& out) {
                               out.text("qwen2.rope.scaling.type", "yarn");
                               out.real("qwen2.rope.scaling.factor", 2.0F);
                               out.real("qwen2.rope.scaling.yarn_ext_factor", 0.5F);
                             }),
              HasSubstr("qwen2.rope.scaling.yarn_ext_factor is not 1, which is not supported"));
  EXPECT_THAT(config_problem("phi3", [](GgufWriter& out) { out.text("phi3.rope.scaling.type", "longrope"); }),
              HasSubstr("tensor rope_factors_short.weight must be 2 values of F32; convert the model again"));
}

/// rope_scaling of the demo with more keys.
template <class Change>
nlohmann::ordered_json scaling_with(Change change) {
  const Scratch scratch;
  GgufWriter out;
  test::add_demo_keys(out);
  change(out);
  test::add_demo_tensors(out);
  put_file(scratch / "m.gguf", out.content());
  return gguf_config(read_gguf(scratch / "m.gguf"))["rope_scaling"];
}

TEST(GgufModel, LinearScalingOfRotations) {
  const auto with = [](const char* type, std::optional<float> factor, std::optional<float> old) {
    return scaling_with([&](GgufWriter& out) {
      if (type != nullptr) {
        out.text("llama.rope.scaling.type", type);
      }
      if (factor) {
        out.real("llama.rope.scaling.factor", *factor);
      }
      if (old) {
        out.real("llama.rope.scale_linear", *old);
      }
    });
  };
  const nlohmann::ordered_json four = {{"rope_type", "linear"}, {"factor", 4.0}};
  EXPECT_EQ(with("linear", 4.0F, {}), four);
  EXPECT_EQ(with(nullptr, 4.0F, {}), four);
  EXPECT_EQ(with(nullptr, {}, 4.0F), four);
  EXPECT_EQ(with("linear", {}, 4.0F), four);
  EXPECT_EQ(with(nullptr, 4.0F, 2.0F), four);
  EXPECT_EQ(with(nullptr, -4.0F, {})["factor"], -4.0);  // which is then refused as that of any config.json
  EXPECT_THAT(problem_with([](GgufWriter& out) { out.real("llama.rope.scaling.factor", NAN); }),
              HasSubstr("llama.rope.scaling.factor is nan, and must be a finite number"));
  for (const auto& none : {with(nullptr, {}, {}), with("none", 4.0F, {}), with("linear", {}, {}), with(nullptr, 0.0F, {}),
                           with(nullptr, 0.0F, 4.0F), with("linear", 1.0F, {}), with(nullptr, {}, 1.0F)}) {
    EXPECT_TRUE(none.is_null());
  }
  EXPECT_THAT(problem_with([](GgufWriter& out) {
                out.real("llama.rope.scaling.factor", 4.0F);
                out.tensor("rope_freqs.weight", {4}, 0, std::string(16, '\0'));
              }),
              HasSubstr("both tensor rope_freqs.weight and linear rope scaling"));
}

TEST(GgufModel, TheConfigurationIsThatOfTheFolder) {
  const Scratch scratch;
  const auto config = gguf_config(read_gguf(test::put_demo_gguf(scratch / "m.gguf")));
  EXPECT_EQ(config["model_type"], "llama");
  EXPECT_EQ(config["num_hidden_layers"], 5);
  EXPECT_EQ(config["num_key_value_heads"], 4);
  EXPECT_EQ(config["vocab_size"], 512);
  EXPECT_EQ(config["tie_word_embeddings"], true);
  EXPECT_EQ(config["eos_token_id"], 2);
  const auto stretched = gguf_config(read_gguf(source_dir() / "tests/golden/gguf/llama3.gguf"))["rope_scaling"];
  EXPECT_EQ(stretched["original_max_position_embeddings"], 32);
  EXPECT_EQ(stretched["factor"], 8.0);
}

}  // namespace
}  // namespace lora_dist::gguf_architecture_test
