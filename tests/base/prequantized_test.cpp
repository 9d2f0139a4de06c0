// Folders quantized by bitsandbytes: log-probabilities equal transformers', and damaged folders are refused.
#include "src/base/prequantized.h"

#include <gmock/gmock.h>

#include <functional>

#include "src/comm/single_rank.h"
#include "src/core/error.h"
#include "tests/support/model_fixture.h"
#include "tests/support/scratch.h"

namespace lora_dist::prequantized_test {
namespace {

namespace fs = std::filesystem;
using test::OpenedModel;
using test::source;
using test::TestBatch;
using testing::AllOf;
using testing::HasSubstr;

fs::path golden(const std::string& name) { return source("tests/golden/prequantized/" + name); }

/// Log-probabilities of a model in `folder` on the rows of `name`, against transformers.
void expect_log_probs(const fs::path& folder, const std::string& name) {
  const nlohmann::json expected = test::read_json(golden(name) / "golden.json");
  TestBatch pass;
  for (const auto& row : expected["rows"]) {
    const auto ids = row.get<std::vector<std::int32_t>>();
    pass.add(ids, ids);
  }
  const auto comm = make_single_rank();
  // The requested format has no effect here.
  const OpenedModel opened(folder, {Quantization::none}, *comm, static_cast<std::int64_t>(pass.ids.size()));
  std::vector<float> log_prob(pass.ids.size());
  std::vector<std::int32_t> argmax(pass.ids.size());
  forward_log_probs(opened.transformer(), pass, log_prob, argmax);
  std::size_t at = 0;
  for (const auto& row : expected["logprobs"]) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      ASSERT_NEAR(log_prob[at + i], row[i].get<double>(), 5e-5) << folder << " token " << i + 1;  // fp32 over two layers
    }
    at += row.size() + 1;
  }
}

/// A copy of a golden folder whose tensors can be changed.
struct Edited {
  explicit Edited(const std::string& name) {
    fs::copy_file(golden(name) / "config.json", scratch / "config.json");
    for (const auto& [tensor, info] : read_safetensors_header(golden(name) / "model.safetensors").tensors) {
      infos[tensor] = info;
      bytes[tensor].resize(info.bytes);
      read_tensor_bytes(info, 0, bytes[tensor]);
    }
  }
  /// Bytes of a tensor as another type.
  template <class T>
  std::span<T> values(const std::string& name) {
    return {reinterpret_cast<T*>(bytes.at(name).data()), bytes.at(name).size() / sizeof(T)};
  }
  nlohmann::json state(const std::string& name) { return nlohmann::json::parse(text(name)); }
  std::string text(const std::string& name) {
    return {reinterpret_cast<const char*>(bytes.at(name).data()), bytes.at(name).size()};
  }
  void put(const std::string& name, DType dtype, std::span<const std::byte> content, std::vector<std::int64_t> shape = {}) {
    bytes[name].assign(content.begin(), content.end());
    infos[name].dtype = dtype;
    infos[name].shape = shape.empty() ? std::vector{static_cast<std::int64_t>(content.size() / size_of(dtype))} : shape;
  }
  void put_text(const std::string& name, const std::string& content) { put(name, DType::u8, std::as_bytes(std::span(content))); }
  void remove(const std::string& name) { bytes.erase(name); }

  const fs::path& write() const {
    std::vector<TensorToWrite> tensors;
    for (const auto& [name, content] : bytes) {
      tensors.push_back({name, infos.at(name).dtype, infos.at(name).shape, content});
    }
    write_safetensors(scratch / "model.safetensors", tensors);
    return scratch.path();
  }

  Scratch scratch;
  std::map<std::string, TensorInfo> infos;
  std::map<std::string, std::vector<std::byte>> bytes;
};

const std::string kLlama = "llama_nf4_nested";
const std::string kDown = "model.layers.0.mlp.down_proj.weight";
const std::string kState = ".quant_state.bitsandbytes__nf4";

class Prequantized : public testing::TestWithParam<std::string> {};

TEST_P(Prequantized, LogProbabilitiesEqualTransformers) { expect_log_probs(golden(GetParam()), GetParam()); }

TEST_P(Prequantized, FormatIsTheFiles) {
  const nlohmann::json expected = test::read_json(golden(GetParam()) / "golden.json");
  const auto format = stored_format(read_model_config(golden(GetParam())), read_model_directory(golden(GetParam())));
  ASSERT_TRUE(format.has_value());
  EXPECT_EQ(name_of(format->quantization), expected["quant_type"]);
  EXPECT_EQ(format->double_quant, expected["nested"]);
  EXPECT_EQ(format->block_size, 64);
}

INSTANTIATE_TEST_SUITE_P(, Prequantized, testing::Values("llama_nf4_nested", "gpt2_fp4_in_bf16", "qwen2_fp4_nested_in_f32"));

TEST(PrequantizedFolder, AnUnquantizedFolderHasNoFormat) {
  EXPECT_FALSE(stored_format(read_model_config(source("demo/model")), read_model_directory(source("demo/model"))).has_value());
}

/// Another map with matching codes gives the same scales.
TEST(PrequantizedFolder, ANestedMapOfItsOwnIsUsed) {
  Edited folder(kLlama);
  const std::span<float> map = folder.values<float>(kDown + ".nested_quant_map");
  std::reverse(map.begin(), map.end());
  for (std::uint8_t& code : folder.values<std::uint8_t>(kDown + ".absmax")) {
    code = static_cast<std::uint8_t>(255 - code);
  }
  expect_log_probs(folder.write(), kLlama);
}

TEST(PrequantizedFolder, NestedBlocksOfAnotherSizeAreUsed) {
  Edited folder(kLlama);
  const std::span<const float> nested = folder.values<float>(kDown + ".nested_absmax");
  std::vector<float> twice;  // one scale of 256 is two of 128; the last block has 16 of them
  for (const float scale : nested) {
    twice.insert(twice.end(), twice.size() == 2 ? 1 : 2, scale);
  }
  folder.put(kDown + ".nested_absmax", DType::f32, std::as_bytes(std::span(twice)));
  nlohmann::json state = folder.state(kDown + kState);
  state["nested_blocksize"] = 128;
  folder.put_text(kDown + kState, state.dump());
  expect_log_probs(folder.write(), kLlama);
}

/// bitsandbytes skips the modules of llm_int8_skip_modules.
TEST(PrequantizedFolder, AWeightThatWasLeftOutStaysAsItIs) {
  Edited folder(kLlama);
  std::vector<float> weight;
  {
    const auto comm = make_single_rank();
    OpenedModel opened(golden(kLlama), {}, *comm, 8);
    std::vector<float> scratch(static_cast<std::size_t>(opened.base.largest_weight()));
    std::vector<float> absmax(static_cast<std::size_t>(opened.base.most_scales()));
    const FrozenWeight down = opened.window->acquire(0)[index_of(Linear::down)];
    const ConstTensorView values = dequantize(down, view(std::span(scratch)), absmax, opened.stream);
    weight.assign(values.as<float>(), values.as<float>() + values.count());
  }
  for (const char* part : {".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map", ".quant_state.bitsandbytes__nf4"}) {
    folder.remove(kDown + part);
  }
  folder.put(kDown, DType::f32, std::as_bytes(std::span(weight)), {32, 544});
  expect_log_probs(folder.write(), kLlama);
}

using Change = std::function<void(Edited&)>;

void expect_refused(const Change& change, const std::string& tensor, const std::string& what) {
  Edited folder(kLlama);
  change(folder);
  const fs::path& path = folder.write();
  const auto comm = make_single_rank();
  try {
    const OpenedModel opened(path, {Quantization::nf4}, *comm, 8);
    ADD_FAILURE() << "no error: " << what;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::model) << error.what();
    EXPECT_THAT(error.what(),
                AllOf(HasSubstr((path / "model.safetensors").string()), HasSubstr("tensor " + tensor), HasSubstr(what)));
  }
}

Change with_state(const char* key, const nlohmann::json& value) {
  return [key, value](Edited& folder) {
    nlohmann::json state = folder.state(kDown + kState);
    state[key] = value;
    if (value.is_null()) {
      state.erase(key);
    }
    folder.put_text(kDown + kState, state.dump());
  };
}

TEST(DamagedFolder, PartsThatAreMissing) {
  for (const char* part : {".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map"}) {
    expect_refused([&](Edited& folder) { folder.remove(kDown + part); }, kDown + part, "is missing; " + kDown + " is quantized");
  }
  expect_refused([](Edited& folder) { folder.remove(kDown + kState); }, kDown + ".absmax",
                 "is a part of a quantized weight, but " + kDown + ".quant_state.bitsandbytes__nf4 or fp4 is missing");
}

TEST(DamagedFolder, PartsOfAnotherLength) {
  const auto shorter = [](const std::string& name, DType dtype) {
    return [name, dtype](Edited& folder) {
      const std::vector<std::byte> all = folder.bytes.at(name);
      folder.put(name, dtype, std::span(all).first(all.size() - size_of(dtype)));
    };
  };
  expect_refused(shorter(kDown, DType::u8), kDown, "has 8703 bytes; 8704 are needed for the codes of 17408 weights");
  expect_refused(shorter(kDown + ".absmax", DType::u8), kDown + ".absmax", "has 271 bytes of u8; 272 of u8 are needed");
  expect_refused(shorter(kDown + ".nested_absmax", DType::f32), kDown + ".nested_absmax", "has 4 bytes of f32; 8 of f32");
  expect_refused(shorter(kDown + ".quant_map", DType::f32), kDown + ".quant_map", "has 60 bytes of f32; 64 of f32");
  expect_refused(shorter(kDown + ".nested_quant_map", DType::f32), kDown + ".nested_quant_map", "has 1020 bytes of f32; 1024");
  expect_refused([](Edited& folder) { folder.put_text(kDown + kState, std::string(70000, ' ')); }, kDown + kState,
                 "has 70000 bytes, which is no quantization state");
}

TEST(DamagedFolder, StatesThatCannotBeRead) {
  const auto text = [](const char* content) { return [content](Edited& folder) { folder.put_text(kDown + kState, content); }; };
  expect_refused(text("{\"quant_type\": "), kDown + kState, "is not JSON: ");
  expect_refused(text("[1]"), kDown + kState, "is not a JSON object; the file is damaged");
  expect_refused(with_state("blocksize", nullptr), kDown + kState, "must have blocksize, a whole number");
  expect_refused(with_state("blocksize", 48), kDown + kState, "has blocksize 48; it must be a power of two from 32 to 4096");
  expect_refused(with_state("nested_blocksize", 0), kDown + kState, "has nested_blocksize 0; it must be a power of two");
  expect_refused(with_state("quant_type", "int4"), kDown + kState, "has quant_type \"int4\"; nf4 and fp4 are known");
  expect_refused(with_state("quant_type", "fp4"), kDown + kState,
                 "has quant_type \"fp4\"; nf4 and fp4 are known, under that name");
  expect_refused(with_state("shape", {544, 32}), kDown + kState, "is of a weight [544,32], config.json implies [32, 544]");
  expect_refused(with_state("shape", "all"), kDown + kState, "must have shape, a list");
  expect_refused(with_state("dtype", 3), kDown + kState, "must have dtype, a text");
  expect_refused(with_state("nested_dtype", "float16"), kDown + kState, "has nested_dtype \"float16\"; float32 is known");
  expect_refused(with_state("nested_offset", "0"), kDown + kState, "must have nested_offset, a number");
  expect_refused(with_state("nested_offset", 1e300), kDown + kState, "has a nested_offset that is no f32 number");
}

TEST(DamagedFolder, ValuesThatCannotBe) {
  expect_refused([](Edited& folder) { folder.values<float>(kDown + ".quant_map")[3] = -0.4F; }, kDown + ".quant_map",
                 "holds other values than those of nf4; such weights cannot be used");
  expect_refused([](Edited& folder) { folder.values<float>(kDown + ".nested_absmax")[1] = NAN; }, kDown + ".nested_absmax",
                 "holds NaN or infinity");
  expect_refused([](Edited& folder) { folder.values<float>(kDown + ".nested_quant_map")[1] = NAN; }, kDown + ".nested_quant_map",
                 "holds NaN or infinity");
}

}  // namespace
}  // namespace lora_dist::prequantized_test
