// Adapters trained with PEFT on models that are too large to ship: LORA_DIST_TEST_DATA/adapters.
#include <gmock/gmock.h>

#include <cmath>

#include "src/adapter/adapter_bridge.h"
#include "tests/support/scratch.h"
#include "tests/support/test_data.h"

namespace lora_dist::given_adapters_test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class GivenAdapters : public testing::Test {
 protected:
  void SetUp() override {
    if (!test_data()) {
      GTEST_SKIP() << "LORA_DIST_TEST_DATA names no folder";
    }
  }
  static PeftAdapter read(const std::string& name) { return read_peft_adapter(*test_data() / "adapters" / name); }
  /// GPT-2 as OpenAI published it: its shapes are enough.
  static ModelSpec gpt2() {
    const Scratch folder;
    folder.write("config.json",
                 R"({"model_type":"gpt2","n_embd":768,"n_layer":12,"n_head":12,"n_positions":1024,"vocab_size":50257})");
    return read_model_config(folder.path());
  }
};

/// Every value is finite, and not all are zero.
double largest(const AdapterMatrix& matrix) {
  double most = 0.0;
  for (const float value : matrix.values) {
    EXPECT_TRUE(std::isfinite(value));
    most = std::max(most, std::abs(static_cast<double>(value)));
  }
  return most;
}

TEST_F(GivenAdapters, AllLoad) {
  int count = 0;
  for (const auto& entry : fs::directory_iterator(*test_data() / "adapters")) {
    const PeftAdapter adapter = read(entry.path().filename());
    EXPECT_FALSE(adapter.tensors.empty()) << entry.path();
    for (const auto& [name, matrix] : adapter.tensors) {
      EXPECT_GT(largest(matrix), 0.0) << entry.path() << ": " << name;
    }
    ++count;
  }
  EXPECT_GE(count, 3);
}

TEST_F(GivenAdapters, OfGpt2FitItsShapes) {
  const ModelSpec spec = gpt2();
  for (const auto& [name, alpha, modules, line] :
       {std::tuple{"gpt2-lora-r8", 16.0, 12, "trainable params: 294,912 || all params: 124,734,720 || trainable%: 0.2364"},
        std::tuple{"gpt2-lora-multi", 32.0, 36, "trainable params: 811,008 || all params: 125,250,816 || trainable%: 0.6475"}}) {
    const PeftAdapter adapter = read(name);
    const AdapterLayout layout = layout_of(adapter, spec, name);
    EXPECT_EQ(adapter_tensors(layout).size(), 2U * modules);
    EXPECT_EQ(trainable_line(layout, spec), line);
    const auto& adapted = layout.blocks[11][index_of(Linear::qkv)];
    ASSERT_TRUE(adapted.has_value());
    EXPECT_EQ(adapted->r, 8);
    EXPECT_EQ(adapted->in, 768);
    EXPECT_EQ(adapted->out, 2304);
    EXPECT_EQ(adapted->scale, alpha / 8);
    std::vector<float> params(static_cast<std::size_t>(layout.count));
    copy_parameters(adapter, layout, params);
    EXPECT_EQ(params[static_cast<std::size_t>(adapted->parameters[1].offset)],
              adapter.tensors.at("transformer.h.11.attn.c_attn.lora_B").values.front());
  }
}

TEST_F(GivenAdapters, OfOptHasItsShapesAndFitsNoOtherModel) {
  const PeftAdapter adapter = read("opt125m-lora-bf16");
  EXPECT_EQ(adapter.config.r, 16);
  EXPECT_EQ(adapter.tensors.size(), 48U);
  for (const auto& [name, matrix] : adapter.tensors) {
    EXPECT_EQ(matrix.shape,
              name.ends_with(".lora_A") ? (std::vector<std::int64_t>{16, 768}) : (std::vector<std::int64_t>{768, 16}));
  }
  const Thrown error = thrown_by([&] { layout_of(adapter, gpt2(), "opt"); });
  EXPECT_EQ(error.code, ExitCode::model);
  EXPECT_THAT(error.message, HasSubstr("opt: tensor model.decoder.layers.0.self_attn.q_proj.lora_A has no place in this model"));
}

}  // namespace
}  // namespace lora_dist::given_adapters_test
