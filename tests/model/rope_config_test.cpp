// Compares rotation settings of config.json with transformers' inverse frequencies.
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "src/model/config_file.h"
#include "tests/support/model_fixture.h"
#include "tests/support/scratch.h"

namespace lora_dist::rope_config_test {
namespace {

using nlohmann::json;

class RopeConfigOfAFile : public testing::Test {
 protected:
  ModelSpec read(const json& config) {
    folder_.write("config.json", config.dump());
    return read_model_config(folder_.path());
  }
  static json config_with(const json& keys) {
    json config = test::read_json(test::source("demo/model/config.json"));
    config.erase("rope_parameters");
    config.update(keys);
    return config;
  }
  std::vector<std::string> warnings_of(const json& keys) { return read(config_with(keys)).warnings; }
  std::string message_of(const json& keys) {
    const Thrown error = thrown_by([&] { read(config_with(keys)); });
    EXPECT_EQ(error.code, ExitCode::model);
    return error.message;
  }
  Scratch folder_;
};

/// A row of the table holds cos, then sin, of the frequencies at position 1, times `scaling`. Two roundings of fp32 lie between:
/// 1e-6.
void expect_frequencies(const ModelSpec& spec, const json& expected, double scaling) {
  const std::vector<float> table = make_rope_table(spec, 2);
  const std::size_t half = expected.size();
  ASSERT_EQ(table.size(), 4 * half);
  for (std::size_t i = 0; i < half; ++i) {
    EXPECT_NEAR(table[2 * half + i], scaling * std::cos(expected[i].get<double>()), 1e-6) << i;
    EXPECT_NEAR(table[3 * half + i], scaling * std::sin(expected[i].get<double>()), 1e-6) << i;
  }
}

TEST_F(RopeConfigOfAFile, FrequenciesAreTransformers) {
  int compared = 0;
  for (const json& golden : test::read_json(test::source("tests/golden/rope_configs.json"))) {
    SCOPED_TRACE(golden["config"].dump());
    // A part of each head, with a scaled rotation, has frequencies in transformers, but no attention that takes them.
    const bool part = golden["family"] != "gpt_neox" && golden["config"].contains("partial_rotary_factor") &&
                      golden["config"].contains("rope_scaling");
    if (golden.contains("refused") || part) {
      EXPECT_THROW(read(golden["config"]), Error);
      continue;
    }
    expect_frequencies(read(golden["config"]), golden["inverse_frequencies"], golden["scaling"].get<double>());
    ++compared;
  }
  EXPECT_GT(compared, 100);
}

TEST_F(RopeConfigOfAFile, TakesWhatIsNothingInPythonForNothing) {
  for (const json& nothing : {json(false), json::array(), json::object(), json(nullptr)}) {
    EXPECT_EQ(read(config_with({{"rope_scaling", nothing}, {"rope_theta", 5000.0}})).rope.theta, 5000.0) << nothing;
  }
}

TEST_F(RopeConfigOfAFile, SaysWhereTwoPlacesDisagree) {
  const json linear = {{"rope_type", "linear"}, {"factor", 2.0}};
  const json other = {{"rope_type", "default"}, {"rope_theta", 7000.0}};
  EXPECT_TRUE(warnings_of({{"rope_scaling", linear}, {"rope_parameters", linear}}).empty());
  EXPECT_TRUE(warnings_of({{"rope_scaling", nullptr}, {"rope_parameters", other}, {"rope_theta", 7000.0}}).empty());
  std::vector<std::string> warnings = warnings_of({{"rope_scaling", linear}, {"rope_parameters", other}});
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_NE(warnings[0].find("config.json: rope_scaling and rope_parameters differ; rope_scaling is used, as in transformers"),
            std::string::npos);
  warnings = warnings_of({{"rope_parameters", other}, {"rope_theta", 5000.0}});
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_NE(warnings[0].find("rope_theta is 5000.0 and rope_theta of rope_parameters is 7000.0; the latter is used"),
            std::string::npos)
      << warnings[0];
}

/// An unsupported type is refused wherever it is, if it counts; otherwise it is ignored.
TEST_F(RopeConfigOfAFile, RefusesTypesInEitherPlace) {
  const json axial = {{"rope_type", "axial"}, {"factor", 4.0}};
  const json plain = {{"rope_type", "default"}};
  EXPECT_NE(message_of({{"rope_scaling", axial}, {"rope_parameters", plain}}).find("rope type \"axial\" is not supported"),
            std::string::npos);
  EXPECT_NE(message_of({{"rope_scaling", {{"type", "proportional"}, {"factor", 2.0}}}}).find("rope type \"proportional\""),
            std::string::npos);
  EXPECT_EQ(warnings_of({{"rope_scaling", plain}, {"rope_parameters", axial}}).size(), 1U);
}

/// Sequences of more than the original positions take the rows of the second half of the table.
TEST_F(RopeConfigOfAFile, LongropeHasTwoTables) {
  const std::vector<double> ones(4, 1.0);
  const std::vector<double> twos(4, 2.0);
  const json longrope = {{"rope_type", "longrope"}, {"short_factor", ones}, {"long_factor", twos}, {"factor", 1.0}};
  const ModelSpec spec = read(config_with({{"rope_parameters", longrope}, {"original_max_position_embeddings", 8}}));
  EXPECT_EQ(rope_table_rows(spec.rope, 8), 8);
  ASSERT_EQ(rope_table_rows(spec.rope, 16), 32);
  const std::vector<float> table = make_rope_table(spec, 16);
  const auto row = [&](std::size_t number) {
    return std::vector<float>(table.begin() + static_cast<std::ptrdiff_t>(8 * number),
                              table.begin() + static_cast<std::ptrdiff_t>(8 * (number + 1)));
  };
  EXPECT_EQ(row(16 + 12), row(6));  // half the frequencies at twice the position
  EXPECT_NE(row(12), row(6));
}

TEST_F(RopeConfigOfAFile, Messages) {
  EXPECT_NE(message_of({{"rope_parameters", {{"rope_type", "longrope"}, {"short_factor", {1.0, 1.0}}}}})
                .find("rope type \"longrope\" needs short_factor in rope_parameters, a list of 4 numbers above 0"),
            std::string::npos);
  EXPECT_NE(message_of({{"rope_scaling", {{"type", "linear"}}}}).find("rope type \"linear\" needs factor in rope_scaling"),
            std::string::npos);
  EXPECT_NE(message_of({{"rope_parameters", {{"rope_type", "llama3"}, {"factor", 8.0}}}})
                .find("rope type \"llama3\" needs low_freq_factor in rope_parameters"),
            std::string::npos);
  EXPECT_NE(message_of({{"rope_scaling", 2.0}}).find("key \"rope_scaling\" must be an object"), std::string::npos);
  EXPECT_NE(message_of({{"partial_rotary_factor", 0.5}, {"rope_scaling", {{"type", "linear"}, {"factor", 2.0}}}})
                .find("partial_rotary_factor beside rope type \"linear\" is not supported for llama models"),
            std::string::npos);
  const std::vector<std::string> warnings = warnings_of({{"partial_rotary_factor", 0.5}});
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_NE(warnings[0].find("partial_rotary_factor is not used: llama models rotate whole heads"), std::string::npos);
}

}  // namespace
}  // namespace lora_dist::rope_config_test
