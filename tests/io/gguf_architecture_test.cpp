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

}  // namespace
}  // namespace lora_dist::gguf_architecture_test
