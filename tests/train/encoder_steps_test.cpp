// Eight steps of the encoders of virtual tokens from PEFT's first values, against PEFT (tests/golden/make_prompts.py).
#include <gtest/gtest.h>

#include <cmath>

#include "src/adapter/peft_adapter.h"
#include "src/comm/single_rank.h"
#include "src/io/safetensors.h"
#include "src/train/encode_virtual_tokens.h"
#include "src/train/train_step.h"
#include "tests/support/model_fixture.h"

namespace lora_dist::encoder_steps_test {
namespace {

using test::OpenedModel;
using test::read_json;
using test::source;

struct EncoderCase {
  const char* method;
  const AdapterMethod& (*row)();
  EncoderKind kind;
  std::int64_t hidden;
  const char* base;
};

std::string name_of(const EncoderCase& c) { return std::string(c.method) + "_" + c.base; }
std::filesystem::path golden_folder(const EncoderCase& c) { return source("tests/golden/methods") / name_of(c); }

/// The training rows of the base, as samples.
struct GoldenRows {
  explicit GoldenRows(const nlohmann::json& rows) {
    for (const nlohmann::json& row : rows) {
      tokens.push_back({row["input_ids"].get<std::vector<std::int32_t>>(), row["labels"].get<std::vector<std::int32_t>>()});
    }
    for (const auto& [ids, labels] : tokens) {
      samples.push_back({static_cast<std::int64_t>(samples.size()), ids, labels});
    }
  }
  std::vector<std::pair<std::vector<std::int32_t>, std::vector<std::int32_t>>> tokens;
  std::vector<Sample> samples;
};

void read_encoder(const std::filesystem::path& file, const PromptEncoder& encoder, std::vector<float>& params) {
  const TensorDirectory directory = read_safetensors_header(file);
  ASSERT_EQ(directory.tensors.size(), encoder.parameters.size());
  for (const Parameter& parameter : encoder.parameters) {
    const TensorInfo& tensor = directory.tensors.at(std::string(parameter.name));
    const std::vector<float> values = read_floats(tensor, 0, parameter.shape.count());
    std::copy(values.begin(), values.end(), params.begin() + parameter.offset);
  }
}

class EncoderSteps : public testing::TestWithParam<EncoderCase> {};

void expect_steps(const EncoderCase& c, const std::string& quantization) {
  const bool is_float = quantization == "none";
  const nlohmann::json golden = read_json(golden_folder(c) / "golden.json");
  const GoldenRows rows(read_json(source("tests/golden/families") / c.base / "golden.json")["training_rows"]);
  const auto comm = make_single_rank();
  AdapterSpec spec;
  spec.method = &c.row();
  spec.virtual_tokens = 3;
  spec.encoder = c.kind;
  spec.encoder_hidden = c.hidden;
  OpenedModel opened(source("tests/golden/families") / c.base, {is_float ? Quantization::none : Quantization::nf4, false}, *comm,
                     300, Recompute::block, &spec);
  EXPECT_EQ(trainable_line(opened.layout, opened.spec).substr(0, 20), golden["trainable"].get<std::string>().substr(0, 20));
  const PromptEncoder& encoder = *opened.layout.encoder;
  read_encoder(golden_folder(c) / ("init_" + quantization + ".safetensors"), encoder, opened.params);
  put_encoded_rows(encoder, opened.params, opened.stream);
  const auto used = static_cast<std::size_t>(opened.layout.used_count());
  std::vector<float> m(opened.params.size()), v(m.size()), grads(m.size());
  std::vector<std::int64_t> sums(used);
  const TrainedBuffers buffers{
      opened.params, m, v, grads, sums, std::span(opened.params).first(used), sums, {std::span(grads).first(used)}};
  const AdapterShard part = make_adapter_shard(opened.layout, opened.spec, tp_shard(opened.spec, 0, 1));
  StepOptions options;
  options.micro_batch = 3;
  options.max_grad_norm = 0.0;
  options.update_ranges = {{encoder.first, encoder.count, 1.0}};
  LossScale unused;
  double loss = 0.0;
  double adapter = 0.0;
  for (std::int64_t step = 0; step < 8; ++step) {
    std::vector<Sequence> sequences;
    for (std::int32_t row = 0; row < 4; ++row) {
      sequences.push_back({static_cast<std::int32_t>(4 * step + row)});
    }
    const StepResult result = train_step({.model = opened.transformer(),
                                          .part = part,
                                          .ranks = {*comm, *comm, *comm},
                                          .buffers = buffers,
                                          .sequences = sequences,
                                          .samples = rows.samples,
                                          .options = options,
                                          .encoder = &encoder,
                                          .step = step,
                                          .optimizer_step = step + 1,
                                          .learning_rate = 2e-3},
                                         unused);
    const auto expected = golden[quantization]["losses"][static_cast<std::size_t>(step)].get<double>();
    loss = std::max(loss, std::fabs(result.loss - expected));
  }
  const PeftAdapter theirs = read_peft_adapter(golden_folder(c) / ("adapter_" + quantization));
  const std::vector<float>& expected = theirs.tensors.at("prompt_embeddings").values;
  ASSERT_EQ(expected.size(), used);
  for (std::size_t i = 0; i < used; ++i) {
    adapter = std::max(adapter, std::fabs(static_cast<double>(opened.params[i]) - static_cast<double>(expected[i])));
  }
  EXPECT_LE(loss, is_float ? 1e-4 : 3e-4);
  EXPECT_LE(adapter, is_float ? 1e-3 : 3e-3);  // AdamW divides small gradients by their own size
  std::printf("%-24s %-4s: largest difference of loss %.2e, of the adapter %.2e\n", name_of(c).c_str(), quantization.c_str(),
              loss, adapter);
}

TEST_P(EncoderSteps, FollowPeft) {
  expect_steps(GetParam(), "none");
  expect_steps(GetParam(), "nf4");
}

INSTANTIATE_TEST_SUITE_P(All, EncoderSteps,
                         testing::Values(EncoderCase{"p_tuning", p_tuning_method, EncoderKind::mlp, 8, "llama3"},
                                         EncoderCase{"p_tuning", p_tuning_method, EncoderKind::mlp, 8, "qwen3"},
                                         EncoderCase{"p_tuning", p_tuning_method, EncoderKind::mlp, 8, "gpt2"},
                                         EncoderCase{"p_tuning_lstm", p_tuning_method, EncoderKind::lstm, 6, "llama3"},
                                         EncoderCase{"p_tuning_lstm", p_tuning_method, EncoderKind::lstm, 6, "qwen3"},
                                         EncoderCase{"p_tuning_lstm", p_tuning_method, EncoderKind::lstm, 6, "gpt2"},
                                         EncoderCase{"prefix_projection", prefix_method, EncoderKind::projection, 8, "llama3"},
                                         EncoderCase{"prefix_projection", prefix_method, EncoderKind::projection, 8, "qwen3"},
                                         EncoderCase{"prefix_projection", prefix_method, EncoderKind::projection, 8, "gpt2"}),
                         [](const auto& info) { return name_of(info.param); });

}  // namespace
}  // namespace lora_dist::encoder_steps_test
