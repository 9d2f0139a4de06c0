// The configuration of GGUF files, and which file a folder has.
#include "src/io/gguf_model.h"

#include <gmock/gmock.h>

#include <cmath>

#include "src/io/gguf_architecture.h"
#include "tests/support/demo_gguf.h"
#include "tests/support/scratch.h"

namespace lora_dist::gguf_model_test {
namespace {

using test::GgufWriter;
using testing::HasSubstr;

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

/// What opening the demo with one more key or tensor says.
template <class Change>
std::string demo_problem(Change change) {
  const Thrown error = thrown_by([&] { scaling_with(change); });
  EXPECT_EQ(error.code, ExitCode::model);
  return error.message;
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
  EXPECT_THAT(demo_problem([](GgufWriter& out) { out.real("llama.rope.scaling.factor", NAN); }),
              HasSubstr("llama.rope.scaling.factor is nan, and must be a finite number"));
  for (const auto& none : {with(nullptr, {}, {}), with("none", 4.0F, {}), with("linear", {}, {}), with(nullptr, 0.0F, {}),
                           with(nullptr, 0.0F, 4.0F), with("linear", 1.0F, {}), with(nullptr, {}, 1.0F)}) {
    EXPECT_TRUE(none.is_null());
  }
  EXPECT_THAT(demo_problem([](GgufWriter& out) {
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
}  // namespace lora_dist::gguf_model_test
