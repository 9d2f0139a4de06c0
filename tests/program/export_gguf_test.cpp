// export --for gguf: what is written is what merge writes, to the bit in F32, for every family; and what is refused.
#include <gmock/gmock.h>

#include <fstream>
#include <set>

#include "src/io/gguf.h"
#include "src/io/safetensors.h"
#include "src/model/model_config.h"
#include "tests/program/fixtures.h"

namespace lora_dist::program::export_gguf_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

const std::string kDemo = source("demo/model").string();
const std::string kAdapter = source("tests/golden/lora_steps/nf4_double_all_linear/final").string();

Launch export_of(const std::string& type, const std::string& model, const fs::path& output,
                 const std::vector<std::string>& more = {}, int ranks = 0) {
  Launch launch;
  launch.arguments = {"export", "--for", "gguf", "--type", type, "--model", model, "--output", output.string()};
  launch.arguments.insert(launch.arguments.end(), more.begin(), more.end());
  launch.ranks = ranks;
  return launch;
}

std::vector<json> scores_of_story(const std::string& model, const fs::path& output) {
  return scores_of({"--model", model, "--quantization", "none"}, source("tests/golden/stories260k/score_input.jsonl"), output);
}

/// Files in a folder, the hidden ones too.
std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    names.push_back(entry.path().filename().string());
  }
  return names;
}

std::string bytes_at(const fs::path& file, std::uint64_t offset, std::uint64_t count) {
  std::ifstream in(file, std::ios::binary);
  in.seekg(static_cast<std::streamoff>(offset));
  std::string out(count, '\0');
  in.read(out.data(), static_cast<std::streamsize>(count));
  return out;
}

void copy_model(const fs::path& from, const fs::path& to) { fs::copy(from, to, fs::copy_options::recursive); }

TEST(ExportGguf, F32IsTheModelToTheBit) {
  const Scratch scratch;
  expect_success(export_of("f32", kDemo, scratch / "demo.gguf", {}, 2));
  EXPECT_EQ(scores_of_story((scratch / "demo.gguf").string(), scratch / "a.jsonl"), scores_of_story(kDemo, scratch / "b.jsonl"));
  EXPECT_EQ(fs::status(scratch / "demo.gguf").permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

/// The adapter was trained on NF4: onto the dequantized weights without being told, and onto the files' weights where asked.
TEST(ExportGguf, TheAdapterIsMergedAsMergeDoes) {
  const Scratch scratch;
  for (const char* onto : {"dequantized", "full"}) {
    std::vector<std::string> more = {"--adapter", kAdapter, "--onto", onto};
    const fs::path file = scratch / (std::string(onto) + ".gguf");
    const Finished run = expect_success(export_of("f32", kDemo, file, more));
    EXPECT_THAT(run.out, HasSubstr(std::string("35 weights merged (norm of the update")));
    EXPECT_THAT(run.out, HasSubstr(std::string("onto ") + onto));
    Launch merge;
    merge.arguments = {"merge", "--model", kDemo, "--output", (scratch / onto).string()};
    merge.arguments.insert(merge.arguments.end(), more.begin(), more.end());
    expect_success(merge);
    EXPECT_EQ(scores_of_story(file.string(), scratch / "a.jsonl"),
              scores_of_story((scratch / onto).string(), scratch / "b.jsonl"));
  }
  expect_success(export_of("f32", kDemo, scratch / "default.gguf", {"--adapter", kAdapter}));
  EXPECT_EQ(digests_below(scratch.path())["default.gguf"], digests_below(scratch.path())["dequantized.gguf"]);
}

TEST(ExportGguf, EveryFamilyIsReadBackToTheBit) {
  const Scratch scratch;
  for (const char* family :
       {"llama3", "qwen3", "gemma", "gpt2", "gpt_neox_parallel", "gpt_neox_serial", "exaone3", "exaone4_global", "exaone4_hybrid",
        "phi3", "phi3_window", "olmo3", "glm4", "stablelm", "stablelm_parallel", "ministral3", "internlm3"}) {
    const fs::path model = source(std::string("tests/golden/families/") + family);
    const fs::path file = scratch / (std::string(family) + ".gguf");
    const fs::path rows = put_golden_rows(scratch, model.string());
    const std::string adapter = (model / "adapter_none").string();
    expect_success(export_of("f32", model.string(), file));
    EXPECT_EQ(scores_of({"--model", file.string(), "--quantization", "none"}, rows, scratch / "a.jsonl"),
              scores_of({"--model", model.string(), "--quantization", "none"}, rows, scratch / "b.jsonl"))
        << family;
    const fs::path merged = scratch / (std::string(family) + "_merged.gguf");
    expect_success(export_of("f32", model.string(), merged, {"--adapter", adapter, "--quantization", "none"}));
    // Merged sums have another order than base and adapter side by side.
    EXPECT_LE(largest_change(scores_of({"--model", merged.string(), "--quantization", "none"}, rows, scratch / "a.jsonl"),
                             scores_of({"--model", model.string(), "--adapter", adapter, "--quantization", "none"}, rows,
                                       scratch / "b.jsonl")),
              2e-5)
        << family;
  }
}

/// Files of llama.cpp's converter, read and written again: the same keys of the architecture, tensors, types and bytes.
TEST(ExportGguf, WhatIsWrittenIsWhatTheConverterWrites) {
  const Scratch scratch;
  const std::set<std::string> ours = {
      "vocab_size",     "attention.key_length", "attention.value_length", "rope.dimension_count",
      "rope.freq_base", "rope.freq_base_swa",   "rope.scaling.type"};  // said also where the converter does not
  for (const char* name : {"gemma2", "gemma3", "phi3", "phi3_window", "olmo2", "olmo3", "smollm3", "glm4", "granite", "cohere2",
                           "stablelm", "stablelm_parallel", "starcoder2", "nemotron", "ministral3", "internlm3"}) {
    const fs::path theirs = source("tests/golden/gguf") / (std::string(name) + ".gguf");
    const fs::path written = scratch / (std::string(name) + ".gguf");
    const GgufFile a = read_gguf(theirs);
    expect_success(export_of(a.integer("general.file_type") == 1 ? "f16" : "bf16", theirs.string(), written));
    const GgufFile b = read_gguf(written);
    const std::string prefix = *a.text("general.architecture") + ".";
    for (const auto& [key, value] : a.values) {
      // The converter also takes nemotron's epsilon for RMSNorm's; the original context of a Phi-3 that is not stretched says
      // nothing.
      const bool says_nothing = key == "nemotron.attention.layer_norm_rms_epsilon" ||
                                (name == std::string("phi3_window") && key.ends_with("original_context_length"));
      if (key.starts_with(prefix) && !says_nothing) {
        ASSERT_TRUE(b.has(key)) << name << ": " << key;
        EXPECT_EQ(b.values.at(key), value) << name << ": " << key;
      }
    }
    for (const auto& [key, value] : b.values) {
      EXPECT_TRUE(!key.starts_with(prefix) || a.has(key) || ours.contains(key.substr(prefix.size()))) << name << ": " << key;
    }
    ASSERT_EQ(a.tensors.size(), b.tensors.size()) << name;
    for (const auto& [tensor, info] : a.tensors) {
      ASSERT_TRUE(b.tensors.contains(tensor)) << name << ": " << tensor;
      const GgufTensor& again = b.tensors.at(tensor);
      EXPECT_EQ(again.type->name, info.type->name) << name << ": " << tensor;
      EXPECT_EQ(again.shape, info.shape) << name << ": " << tensor;
      EXPECT_EQ(bytes_at(written, again.offset, again.bytes), bytes_at(theirs, info.offset, info.bytes))
          << name << ": " << tensor;
    }
  }
}

/// A GGUF file is a model like a folder, so that it can be written again; bitsandbytes' folders are dequantized.
TEST(ExportGguf, FromGgufFilesAndQuantizedFolders) {
  const Scratch scratch;
  expect_success(export_of("f32", kDemo, scratch / "a.gguf"));
  expect_success(export_of("f32", (scratch / "a.gguf").string(), scratch / "b.gguf"));
  EXPECT_EQ(scores_of_story((scratch / "a.gguf").string(), scratch / "a.jsonl"),
            scores_of_story((scratch / "b.gguf").string(), scratch / "b.jsonl"));
  for (const char* folder : {"llama_nf4_nested", "gpt2_fp4_in_bf16"}) {
    const fs::path model = source(std::string("tests/golden/prequantized/") + folder);
    const fs::path rows = put_golden_rows(scratch, model.string());
    const fs::path file = scratch / (std::string(folder) + ".gguf");
    expect_success(export_of("f32", model.string(), file));
    EXPECT_LE(largest_change(scores_of({"--model", file.string(), "--quantization", "none"}, rows, scratch / "a.jsonl"),
                             scores_of({"--model", model.string()}, rows, scratch / "b.jsonl")),
              1e-5)
        << folder;
  }
}

/// Smaller types are near: the more bits the nearer. On 1,500 tokens of a story by this tiny model.
TEST(ExportGguf, SmallerTypes) {
  const Scratch scratch;
  const std::vector<json> exact = scores_of_story(kDemo, scratch / "exact.jsonl");
  double before = 0.0;
  std::uintmax_t size = fs::file_size(fs::path(kDemo) / "model.safetensors") * 2;
  const std::vector<std::pair<const char*, double>> most = {{"f16", 0.02}, {"q8_0", 0.3}, {"q4_k_m", 1.5}};
  for (const auto& [type, limit] : most) {
    const fs::path file = scratch / (std::string(type) + ".gguf");
    expect_success(export_of(type, kDemo, file));
    const double change = largest_change(exact, scores_of_story(file.string(), scratch / "x.jsonl"));
    EXPECT_GT(change, before) << type;
    EXPECT_LE(change, limit) << type;
    EXPECT_LT(fs::file_size(file), size) << type;
    before = change;
    size = fs::file_size(file);
  }
  const GgufFile mixed = read_gguf(scratch / "q4_k_m.gguf");
  EXPECT_EQ(mixed.integer("general.file_type"), 15);
  EXPECT_EQ(mixed.tensors.at("token_embd.weight").type->name, "Q8_0");
  EXPECT_EQ(mixed.tensors.at("blk.0.attn_q.weight").type->name, "Q5_0");
  EXPECT_EQ(mixed.tensors.at("blk.0.ffn_down.weight").type->name, "F16");  // rows of 172
  EXPECT_EQ(mixed.tensors.at("blk.0.attn_norm.weight").type->name, "F32");
}

TEST(ExportGguf, KeysAndChatTemplate) {
  const Scratch scratch;
  copy_model(kDemo, scratch / "model");
  put_file(scratch / "model/chat_template.jinja", "{{ messages[0].content }}");
  put_file(scratch / "model/generation_config.json", R"({"eos_token_id": [2, 5]})");
  expect_success(export_of("bf16", (scratch / "model").string(), scratch / "m.gguf"));
  const GgufFile file = read_gguf(scratch / "m.gguf");
  EXPECT_EQ(*file.text("general.architecture"), "llama");
  EXPECT_EQ(*file.text("general.type"), "model");
  EXPECT_EQ(*file.text("general.name"), "model");
  EXPECT_EQ(file.integer("general.quantization_version"), 2);
  EXPECT_EQ(file.integer("llama.context_length"), 512);
  EXPECT_EQ(*file.text("tokenizer.chat_template"), "{{ messages[0].content }}");
  EXPECT_EQ(file.integer("tokenizer.ggml.eos_token_id"), 2);
  EXPECT_EQ(file.integer("tokenizer.ggml.eot_token_id"), 5);
  EXPECT_EQ(file.flag("tokenizer.ggml.add_bos_token"), true);
}

TEST(ExportGguf, StopIdsThatHaveNoKeyAreNamed) {
  const Scratch scratch;
  copy_model(kDemo, scratch / "model");
  put_file(scratch / "model/generation_config.json", R"({"eos_token_id": [2, 5, 6, 7, 9]})");
  const Finished run = expect_success(export_of("bf16", (scratch / "model").string(), scratch / "m.gguf"));
  EXPECT_THAT(run.err, HasSubstr("keys for three tokens that end an answer, and 2 more do not fit (7, 9)"));
  EXPECT_EQ(read_gguf(scratch / "m.gguf").integer("tokenizer.ggml.eom_token_id"), 6);
}

/// llama.cpp has no windows for these families: the file promises no longer texts than all keys of which are attended to.
TEST(ExportGguf, WindowsEndTheContext) {
  const Scratch scratch;
  const fs::path model = source("tests/golden/families/mistral_window");
  const Finished run = expect_success(export_of("f32", model.string(), scratch / "m.gguf"));
  EXPECT_THAT(run.err, HasSubstr("the file's context is 7 tokens (the window), not 128"));
  EXPECT_EQ(read_model_config(scratch / "m.gguf").max_positions, 7);
  put_file(scratch / "rows.jsonl", R"({"id":1,"input_ids":[3,14,15,9,26,5,35]})"
                                   "\n");
  EXPECT_EQ(scores_of({"--model", (scratch / "m.gguf").string()}, scratch / "rows.jsonl", scratch / "a.jsonl"),
            scores_of({"--model", model.string()}, scratch / "rows.jsonl", scratch / "b.jsonl"));
}

TEST(ExportGguf, WhatAFileCannotSayIsRefusedAndLeavesNothing) {
  const Scratch scratch;
  fs::create_directory(scratch / "out");
  const fs::path output = scratch / "out/m.gguf";
  const auto refuse = [&](const std::string& type, const fs::path& model, const std::vector<std::string>& texts) {
    expect_error_on_1_and_3_ranks(export_of(type, model.string(), output), 4, texts);
    EXPECT_THAT(names_in(scratch / "out"), testing::IsEmpty());
  };
  refuse("f32", source("tests/golden/families/gpt2_bare"),
         {"gpt2_bare: a GGUF file of architecture gpt2 cannot say this model's attention of layer 1", "lora_dist merge"});
  copy_model(kDemo, scratch / "model");
  json config = read_json(scratch / "model/config.json");
  config["hidden_act"] = "gelu";
  put_file(scratch / "model/config.json", config.dump());
  refuse("f32", scratch / "model", {"cannot say this model's activation"});
  config["hidden_act"] = "silu";
  put_file(scratch / "model/config.json", config.dump());

  json tokenizer = read_json(scratch / "model/tokenizer_config.json");
  tokenizer["pad_token"] = "<more>";
  put_file(scratch / "model/tokenizer_config.json", tokenizer.dump());
  refuse("f32", scratch / "model", {"tokenizer.json: token 512 (<more>) has no row in the embedding of 512 rows"});
  fs::copy_file(kDemo + "/tokenizer_config.json", scratch / "model/tokenizer_config.json", fs::copy_options::overwrite_existing);

  put_file(scratch / "model/chat_template.jinja", std::string(std::size_t{17} << 20, ' '));
  refuse("f32", scratch / "model", {"out/m.gguf: ", "at most 16 MiB are read"});  // the name that was asked for
  fs::remove(scratch / "model/chat_template.jinja");

  const std::size_t at = offset_of_tensor(scratch / "model/model.safetensors", "model.layers.4.mlp.down_proj.weight");
  put_bytes_at(scratch / "model/model.safetensors", at, std::string("\x00\x00\x80\x49", 4));  // 2^20
  refuse("f16", scratch / "model",
         {"tensor model.layers.4.mlp.down_proj.weight has values that F16 cannot hold", "--type bf16 or f32"});
  put_bytes_at(scratch / "model/model.safetensors", at, std::string("\x00\x00\xC0\x7F", 4));
  refuse("q8_0", scratch / "model", {"model.layers.4.mlp.down_proj.weight"});
  truncate_file(scratch / "model/model.safetensors", 0.7);
  refuse("q8_0", scratch / "model", {"model.safetensors"});
}

TEST(ExportGguf, CommandLine) {
  const Scratch scratch;
  Launch launch = export_of("q5_k_m", kDemo, scratch / "m.gguf");
  expect_error(launch, 2, {"--type", "q5_k_m", "f32, f16, bf16, q8_0, q4_k_m"});
  launch.arguments = {"export", "--for", "gguf"};
  expect_error(launch, 2, {"--model DIR", "--type f32|f16|bf16|q8_0|q4_k_m", "--output PATH"});
  put_file(scratch / "m.gguf", "x");
  expect_error_on_1_and_3_ranks(export_of("f32", kDemo, scratch / "m.gguf"), 2, {"m.gguf is already there"});
  EXPECT_EQ(fs::file_size(scratch / "m.gguf"), 1U);
  fs::create_symlink(scratch / "nowhere", scratch / "link.gguf");
  expect_error(export_of("f32", kDemo, scratch / "link.gguf"), 2, {"link.gguf is already there"});
  expect_error(export_of("f32", kDemo, scratch / "model"), 2, {"model must end in .gguf"});
}

}  // namespace
}  // namespace lora_dist::program::export_gguf_test
