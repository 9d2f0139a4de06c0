// Compares whole tables in an adapter's file with the base's.
#include "src/adapter/adapter_bridge.h"

#include <gmock/gmock.h>

#include "kernels/elementwise/elementwise.h"
#include "src/io/safetensors.h"
#include "tests/support/scratch.h"
#include "tests/support/source_dir.h"

namespace lora_dist::adapter_bridge_test {
namespace {

using testing::HasSubstr;

class AdapterTables : public testing::Test {
 protected:
  /// An adapter's file with one tensor: the base's embedding, modified by `change`.
  template <class Change>
  PeftAdapter with_table(const std::string& path, std::int64_t rows, const Change& change) {
    const TensorInfo& embedding = base_.tensors.at("model.embed_tokens.weight");
    values_.resize(static_cast<std::size_t>(rows * spec_.hidden));
    read_tensor_bytes(embedding, 0, std::as_writable_bytes(std::span(values_)));
    change(values_);
    const std::string name = "base_model.model." + path + ".weight";
    const auto file = folder_ / "adapter_model.safetensors";
    write_safetensors(file, {{name, DType::f32, {rows, spec_.hidden}, std::as_bytes(std::span(values_))}});
    PeftAdapter adapter;
    adapter.tables.emplace(path, read_safetensors_header(file).tensors.at(name));
    return adapter;
  }
  std::string message_of(const PeftAdapter& adapter) {
    const Thrown error = thrown_by([&] { check_tables(adapter, spec_, base_); });
    EXPECT_EQ(error.code, ExitCode::model);
    return error.message;
  }
  Scratch folder_;
  ModelSpec spec_ = read_model_config(source_dir() / "demo/model");
  TensorDirectory base_ = read_model_directory(source_dir() / "demo/model");
  std::vector<float> values_;
};

TEST_F(AdapterTables, CopiesOfTheBaseAreAccepted) {
  const auto nothing = [](std::vector<float>&) {};
  EXPECT_NO_THROW(check_tables(with_table("model.embed_tokens", 512, nothing), spec_, base_));
  EXPECT_NO_THROW(check_tables(with_table("lm_head", 512, nothing), spec_, base_));  // tied to the embedding
}

/// An adapter that was saved in bf16 contains the base's values rounded.
TEST_F(AdapterTables, RoundedCopiesAreAcceptedToo) {
  PeftAdapter adapter = with_table("model.embed_tokens", 512, [](std::vector<float>&) {});
  std::vector<std::uint16_t> rounded(values_.size());
  const Shape shape{static_cast<std::int64_t>(values_.size())};
  const TensorView there{reinterpret_cast<std::byte*>(rounded.data()), DType::bf16, shape};
  cast(view(std::span<const float>(values_)), there, Stream{});
  const std::string name = "base_model.model.model.embed_tokens.weight";
  const auto write = [&] {
    const auto file = folder_ / "rounded.safetensors";
    write_safetensors(file, {{name, DType::bf16, {512, spec_.hidden}, std::as_bytes(std::span(rounded))}});
    adapter.tables.at("model.embed_tokens") = read_safetensors_header(file).tensors.at(name);
  };
  write();
  EXPECT_NO_THROW(check_tables(adapter, spec_, base_));
  rounded[0] ^= 1;
  write();
  EXPECT_THAT(message_of(adapter), HasSubstr("is a whole embedding with other values"));
}

TEST_F(AdapterTables, OthersAreRefusedByWhatTheyAre) {
  const auto nothing = [](std::vector<float>&) {};
  EXPECT_THAT(
      message_of(with_table("lm_head", 512, [](std::vector<float>& values) { values.back() += 1e-6F; })),
      HasSubstr("tensor base_model.model.lm_head.weight is a whole head with other values than the base's: it was trained"));
  EXPECT_THAT(message_of(with_table("model.embed_tokens", 512, [](std::vector<float>& values) { values[0] += 1.0F; })),
              HasSubstr("is a whole embedding with other values"));
  EXPECT_THAT(message_of(with_table("model.embed_tokens", 256, nothing)),
              HasSubstr("has shape [256, 64], the base's model.embed_tokens has [512, 64]: the vocabulary was resized"));
  EXPECT_THAT(message_of(with_table("transformer.wte", 512, nothing)), HasSubstr("has no place in this model"));
}

}  // namespace
}  // namespace lora_dist::adapter_bridge_test
