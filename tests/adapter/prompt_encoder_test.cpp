// The networks that make virtual tokens: gradients compared with finite differences, and the layout of their parameters.
#include "src/adapter/prompt_encoder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

namespace lora_dist::prompt_encoder_test {
namespace {

constexpr std::int64_t kRows = 4;
constexpr std::int64_t kOutput = 5;
constexpr std::int64_t kFirst = kRows * kOutput;

PromptEncoder encoder_of(EncoderKind kind) { return make_prompt_encoder({kind, kRows, 6, 3, kOutput}, kFirst); }

std::vector<float> initial(const PromptEncoder& encoder, std::uint64_t seed = 1) {
  std::vector<float> params(static_cast<std::size_t>(kFirst + encoder.count), 7.0F);
  initialize_encoder(encoder, seed, params);
  return params;
}

class Encoders : public testing::TestWithParam<EncoderKind> {};

TEST_P(Encoders, GradientsEqualFiniteDifferences) {
  const PromptEncoder encoder = encoder_of(GetParam());
  std::vector<float> params = initial(encoder);
  std::vector<float> drows;
  for (std::int64_t i = 0; i < kFirst; ++i) {
    drows.push_back(std::sin(static_cast<float>(i) + 1.0F));
  }
  const auto objective = [&] {
    const std::vector<float> rows = encode(encoder, params, Stream{});
    double sum = 0.0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      sum += static_cast<double>(rows[i]) * static_cast<double>(drows[i]);
    }
    return sum;
  };
  std::vector<float> grads(params.size(), NAN);
  encode_backward(encoder, params, drows, grads, Stream{});
  for (const Parameter& parameter : encoder.parameters) {
    for (std::int64_t i = parameter.offset; i < parameter.offset + parameter.shape.count(); ++i) {
      float& value = params[static_cast<std::size_t>(i)];
      const float at = value;
      constexpr float kStep = 2e-3F;
      value = at + kStep;
      const double above = objective();
      value = at - kStep;
      const double below = objective();
      value = at;
      // fp32: differences of about 1e-7 over the step
      EXPECT_NEAR(grads[static_cast<std::size_t>(i)], (above - below) / (2.0 * static_cast<double>(kStep)), 1e-3)
          << parameter.name << " element " << i - parameter.offset;
    }
  }
}

TEST_P(Encoders, FillTheirPartOfTheBuffer) {
  const PromptEncoder encoder = encoder_of(GetParam());
  EXPECT_EQ(encoder.parameters.front().offset, kFirst);
  EXPECT_EQ(encoder.parameters.back().offset + encoder.parameters.back().shape.count(), kFirst + encoder.count);
  const std::vector<float> params = initial(encoder);
  EXPECT_EQ(params[static_cast<std::size_t>(kFirst) - 1], 7.0F);  // the rows are not the encoder's
  EXPECT_EQ(params, initial(encoder));
  EXPECT_NE(params, initial(encoder, 2));
  for (const Parameter& parameter : encoder.parameters) {
    const bool of_lstm = parameter.name.find("lstm") != std::string_view::npos;
    const bool embedding = parameter.name.find("embedding") != std::string_view::npos;
    const double bound = of_lstm ? 1.0 / std::sqrt(3.0) : embedding ? 5.0 : 1.0 / std::sqrt(3.0);
    for (std::int64_t i = parameter.offset; i < parameter.offset + parameter.shape.count(); ++i) {
      EXPECT_LE(std::abs(params[static_cast<std::size_t>(i)]), bound) << parameter.name;
      EXPECT_NE(params[static_cast<std::size_t>(i)], 7.0F) << parameter.name;
    }
  }
}

TEST_P(Encoders, HaveTheSameBitsOnAnyThreads) {
  const PromptEncoder encoder = encoder_of(GetParam());
  const std::vector<float> params = initial(encoder);
  EXPECT_EQ(encode(encoder, params, {Backend::cpu, 3}), encode(encoder, params, {Backend::cpu, 1}));
}

INSTANTIATE_TEST_SUITE_P(
    All, Encoders, testing::Values(EncoderKind::mlp, EncoderKind::lstm, EncoderKind::projection), [](const auto& info) {
      return std::string(info.param == EncoderKind::mlp ? "mlp" : info.param == EncoderKind::lstm ? "lstm" : "projection");
    });

}  // namespace
}  // namespace lora_dist::prompt_encoder_test
