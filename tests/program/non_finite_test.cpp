// A loss that is not finite: exit code 7, with the rows, and nothing of it in the adapter or the checkpoints.
#include <gtest/gtest.h>

#include <algorithm>

#include "src/io/safetensors.h"
#include "tests/program/fixtures.h"

namespace lora_dist::program::non_finite_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int kTrap = 100;  // the token that no loss survives
constexpr std::size_t kHidden = 48;

/// A copy of tiny_llama_bias in which only the token kTrap has anything in dimension 0 of its embedding.
void put_model(const fs::path& folder) {
  fs::copy(source("tests/golden/tiny_llama_bias"), folder, fs::copy_options::recursive);
  const TensorInfo embedding = read_model_directory(folder).tensors.at("model.embed_tokens.weight");
  std::string content = get_file(embedding.file);
  for (std::size_t id = 0; id < 131; ++id) {
    const std::string value = id == kTrap ? std::string("\x80\x3f", 2) : std::string(2, '\0');  // 1 and 0 in bf16
    content.replace(embedding.offset + id * kHidden * 2, 2, value);
  }
  put_file(embedding.file, content);
}

/// An adapter of rank 2 on q_proj. A of the first layer takes dimension 0 beyond what a float can hold; there is nothing in it,
/// except for kTrap, whose query becomes infinity times a B of zero.
void put_adapter(const fs::path& folder) {
  fs::create_directories(folder);
  put_file(folder / "adapter_config.json", json{{"peft_type", "LORA"},
                                                {"r", 2},
                                                {"lora_alpha", 4},
                                                {"lora_dropout", 0.0},
                                                {"target_modules", {"q_proj"}},
                                                {"base_model_name_or_path", "tiny"},
                                                {"bias", "none"},
                                                {"task_type", "CAUSAL_LM"}}
                                               .dump());
  std::vector<float> a_first(2 * kHidden, 0.1F);
  a_first[0] = 3e38F;
  std::fill(a_first.begin() + 1, a_first.begin() + kHidden, 0.0F);
  const std::vector<float> a(2 * kHidden, 0.1F);
  const std::vector<float> b(kHidden * 2, 0.0F);
  std::vector<TensorToWrite> tensors;
  for (int layer = 0; layer < 3; ++layer) {
    const std::string module = "base_model.model.model.layers." + std::to_string(layer) + ".self_attn.q_proj.";
    tensors.push_back({module + "lora_A.weight", DType::f32, {2, kHidden}, std::as_bytes(std::span(layer == 0 ? a_first : a))});
    tensors.push_back({module + "lora_B.weight", DType::f32, {kHidden, 2}, std::as_bytes(std::span(b))});
  }
  write_safetensors(folder / "adapter_model.safetensors", tensors);
}

/// Twelve rows of which the fifth holds the trap: with two rows a step, step 3 is not finite.
void put_rows(const fs::path& file) {
  std::string rows;
  for (int row = 1; row <= 12; ++row) {
    std::vector<int> ids = {1, row + 10, row + 20, row + 30, row + 40};
    ids[2] = row == 5 ? kTrap : ids[2];
    rows += json{{"input_ids", ids}, {"labels", ids}}.dump() + "\n";
  }
  put_file(file, rows);
}

class NonFinite : public testing::Test {
 protected:
  NonFinite() {
    put_model(scratch_ / "model");
    put_adapter(scratch_ / "adapter");
    put_rows(scratch_ / "rows.jsonl");
  }

  Settings settings(const std::string& output) const {
    return {{"model.path", (scratch_ / "model").string()},
            {"model.quantization", "none"},
            {"adapter.init_from", (scratch_ / "adapter").string()},
            {"adapter.dropout", "0"},
            {"data.train", toml_list({scratch_ / "rows.jsonl"})},
            {"data.validation_split", "0"},
            {"data.packing", "false"},
            {"data.shuffle", "false"},
            {"train.max_steps", "6"},
            {"train.global_batch", "2"},
            {"train.micro_batch", "1"},
            {"train.schedule", "constant"},
            {"train.warmup_ratio", "0"},
            {"checkpoint.every", "1"},
            {"output.dir", (scratch_ / output).string()}};
  }

  Scratch scratch_;
};

TEST_F(NonFinite, EndsTheJobNamesTheRowAndLeavesTheCheckpointBefore) {
  for (const int ranks : {1, 3}) {
    const fs::path output = scratch_ / std::to_string(ranks);
    const Launch launch = launch_of(settings(std::to_string(ranks)), ranks);
    const Finished ended =
        expect_error(launch, 7,
                     {"step 3: loss or gradient is not finite",
                      "in a pass with rows " + (scratch_ / "rows.jsonl").string() + ":5.", "train.max_skipped_steps"});
    EXPECT_EQ(count_of(ended.err, "rows.jsonl:"), 1) << ended.err;
    expect_steps(output, 2);
    EXPECT_EQ(checkpoints_of(output), (std::vector<std::string>{"step_00000001", "step_00000002"}));
    const auto before = digests_below(output / "checkpoints");
    expect_error(launch, 7, {"step 3: loss or gradient is not finite"});
    EXPECT_EQ(digests_below(output / "checkpoints"), before);
  }
}

TEST_F(NonFinite, StepsMayBeLeftOut) {
  Settings run = settings("out");
  run["train.max_steps"] = "12";  // the row comes back in step 9
  run["train.max_skipped_steps"] = "1";
  const Finished stopped = expect_error(launch_of(run, 2), 7, {"step 9: loss or gradient is not finite"});
  EXPECT_EQ(count_of(stopped.err, "step 3 is not finite and was left out (1 of 1 allowed); rows"), 1) << stopped.err;
  run["train.max_skipped_steps"] = "2";
  const Finished finished = expect_success(launch_of(run, 1));
  EXPECT_EQ(count_of(finished.err, "step 9 is not finite and was left out (2 of 2 allowed); rows"), 1) << finished.err;
  expect_steps(scratch_ / "out", 12);
  const std::vector<json> lines = read_lines(scratch_ / "out/metrics.jsonl");
  for (const json& line : lines) {
    const bool left_out = line["step"] == 3 || line["step"] == 9;
    EXPECT_EQ(line["loss"].is_null(), left_out) << line;
    EXPECT_EQ(line["grad_norm"].is_null(), left_out) << line;
  }
}

/// A weight that is a number, but too large to compute with.
TEST(NonFiniteModel, EvaluationScoreAndGeneration) {
  const Scratch scratch;
  const fs::path model = copy_of_model(scratch / "model");
  const fs::path file = model / "model.safetensors";
  const std::size_t norm = offset_of_tensor(file, "model.layers.0.input_layernorm.weight");
  for (std::size_t i = 0; i < 64; ++i) {
    put_bytes_at(file, norm + 4 * i, std::string("\x00\x00\x00\x7f", 4));  // 1.7e38
  }
  Settings settings = short_run(scratch / "out");
  settings["model.path"] = model.string();
  settings["data.validation_split"] = "0.2";
  expect_error_on_1_and_3_ranks(launch_of(settings, 0), 7, {"the evaluation's loss is not finite"});
  EXPECT_TRUE(checkpoints_of(scratch / "out").empty());
  put_file(scratch / "in.jsonl", "{\"id\":\"a\",\"input_ids\":[1,2,3]}\n{\"id\":\"b\",\"input_ids\":[1,2,3]}\n");
  Launch score;
  score.arguments = {
      "score", "--model", model.string(), "--input", (scratch / "in.jsonl").string(), "--output", (scratch / "o").string()};
  expect_error_on_1_and_3_ranks(score, 7, {"line \"a\"", "not finite"});
  Launch generate;
  generate.arguments = {"generate", "--model", model.string(), "--prompt", "Tom"};
  expect_error_on_1_and_3_ranks(generate, 7, {"not finite"});
}

}  // namespace
}  // namespace lora_dist::program::non_finite_test
