// K blocks: groups of values with scales and minima of a few bits each, under two 16-bit floats.
#include <algorithm>
#include <array>
#include <cmath>

#include "src/io/gguf_block.h"

namespace lora_dist {
namespace {

constexpr std::size_t kGroup = 16;     // in Q6_K
constexpr float kLeastScale = 1e-15F;  // groups of smaller values are zeros

/// x = scale * code - least, with codes from 0 to `most`.
struct Affine {
  float scale = 0.0F;
  float least = 0.0F;  // of the negated minimum: at least 0
};

/// The search of a K block for the codes of 32 values: `steps` + 1 inverse scales, from (most + first) / range on, by 0.1.
struct Search {
  int most = 15;
  float first = -1.0F;
  int steps = 20;
};

using Group = std::array<std::uint8_t, kSmallBlock>;

/// Weighted squared error of scale * codes + minimum.
float error_of(const float* x, const std::array<float, kSmallBlock>& weights, const Group& codes, float scale, float minimum) {
  float error = 0.0F;
  for (std::size_t i = 0; i < kSmallBlock; ++i) {
    const float difference = scale * static_cast<float>(codes[i]) + minimum - x[i];
    error += weights[i] * (difference * difference);
  }
  return error;
}

Affine fit_group(const float* x, const Search& search, Group& codes) {
  float squares = 0.0F;
  for (std::size_t i = 0; i < kSmallBlock; ++i) {
    squares += x[i] * x[i];
  }
  const float mean = std::sqrt(squares / 32.0F);
  std::array<float, kSmallBlock> weights{};
  for (std::size_t i = 0; i < kSmallBlock; ++i) {
    weights[i] = mean + std::abs(x[i]);
  }
  float minimum = x[0];
  float maximum = x[0];
  float sum_w = weights[0];
  float sum_x = sum_w * x[0];
  for (std::size_t i = 1; i < kSmallBlock; ++i) {
    minimum = std::min(minimum, x[i]);
    maximum = std::max(maximum, x[i]);
    sum_w += weights[i];
    sum_x += weights[i] * x[i];
  }
  minimum = std::min(minimum, 0.0F);
  codes.fill(0);
  if (maximum == minimum) {
    return {0.0F, -minimum};
  }
  const auto most = static_cast<float>(search.most);
  const auto codes_at = [&](float inverse, Group& out) {
    for (std::size_t i = 0; i < kSmallBlock; ++i) {
      out[i] = static_cast<std::uint8_t>(std::clamp(nearest_code(inverse * (x[i] - minimum)), 0, search.most));
    }
  };
  const float first_inverse = most / (maximum - minimum);
  float scale = 1.0F / first_inverse;
  codes_at(first_inverse, codes);
  float best = error_of(x, weights, codes, scale, minimum);
  for (int step = 0; step <= search.steps; ++step) {
    Group tried{};
    codes_at((search.first + 0.1F * static_cast<float>(step) + most) / (maximum - minimum), tried);
    float sum_l = 0.0F;
    float sum_l2 = 0.0F;
    float sum_xl = 0.0F;
    for (std::size_t i = 0; i < kSmallBlock; ++i) {
      const auto code = static_cast<float>(tried[i]);
      sum_l += weights[i] * code;
      sum_l2 += weights[i] * code * code;
      sum_xl += weights[i] * code * x[i];
    }
    const float determinant = sum_w * sum_l2 - sum_l * sum_l;
    if (!(determinant > 0.0F)) {
      continue;
    }
    float tried_scale = (sum_w * sum_xl - sum_x * sum_l) / determinant;
    float tried_minimum = (sum_l2 * sum_x - sum_l * sum_xl) / determinant;
    if (tried_minimum > 0.0F) {
      tried_minimum = 0.0F;
      tried_scale = sum_xl / sum_l2;
    }
    if (const float error = error_of(x, weights, tried, tried_scale, tried_minimum); error < best) {
      codes = tried;
      best = error;
      scale = tried_scale;
      minimum = tried_minimum;  // later steps are relative to it
    }
  }
  return {scale, -minimum};
}

/// Scale and minimum of sub-block j (of 8), six bits each, in 12 bytes.
void put_scale_and_min(std::byte* packed, std::size_t j, unsigned scale, unsigned least) {
  if (j < 4) {
    packed[j] = byte_of(scale);
    packed[j + 4] = byte_of(least);
  } else {
    packed[j + 4] = byte_of((scale & 15U) | (least & 15U) << 4U);
    packed[j - 4] |= byte_of(scale >> 4U << 6U);
    packed[j] |= byte_of(least >> 4U << 6U);
  }
}

/// The header of a Q4_K or Q5_K block (scale, minimum, and those of its sub-blocks), and the codes under what the header holds.
void fit_super_block(const float* x, const Search& search, std::byte* out, std::array<Group, 8>& codes) {
  std::array<Affine, 8> fits;
  float largest_scale = 0.0F;
  float largest_least = 0.0F;
  for (std::size_t j = 0; j < 8; ++j) {
    fits[j] = fit_group(x + kSmallBlock * j, search, codes[j]);
    largest_scale = std::max(largest_scale, fits[j].scale);
    largest_least = std::max(largest_least, fits[j].least);
  }
  const float scale_inverse = largest_scale > 0.0F ? 63.0F / largest_scale : 0.0F;
  const float least_inverse = largest_least > 0.0F ? 63.0F / largest_least : 0.0F;
  put_half(out, largest_scale / 63.0F);
  put_half(out + 2, largest_least / 63.0F);
  for (std::size_t j = 0; j < 8; ++j) {
    const unsigned scale = std::min(63U, static_cast<unsigned>(nearest_code(scale_inverse * fits[j].scale)) & 0xFFU);
    const unsigned least = std::min(63U, static_cast<unsigned>(nearest_code(least_inverse * fits[j].least)) & 0xFFU);
    put_scale_and_min(out + 4, j, scale, least);
    const float step = half_at(out) * static_cast<float>(scale);
    const float offset = half_at(out + 2) * static_cast<float>(least);
    for (std::size_t i = 0; step != 0.0F && i < kSmallBlock; ++i) {
      codes[j][i] = static_cast<std::uint8_t>(std::clamp(nearest_code((x[kSmallBlock * j + i] + offset) / step), 0, search.most));
    }
  }
}

/// Sums of x^2 * x * code and x^2 * code^2 over a group, with codes -32 to 31 of inverse * x.
struct Correlation {
  float with_values = 0.0F;
  float with_itself = 0.0F;
};
Correlation correlate(const float* x, float inverse, std::array<int, kGroup>& codes) {
  Correlation out;
  for (std::size_t i = 0; i < kGroup; ++i) {
    codes[i] = std::clamp(nearest_code(inverse * x[i]), -32, 31);
    const float weight = x[i] * x[i];
    const auto code = static_cast<float>(codes[i]);
    out.with_values += weight * x[i] * code;
    out.with_itself += weight * code * code;
  }
  return out;
}

/// x = scale * code, codes from -32 to 31; the value with the largest magnitude is near an end.
float fit_symmetric(const float* x, std::array<int, kGroup>& codes) {
  float largest = 0.0F;
  float signed_largest = 0.0F;
  for (std::size_t i = 0; i < kGroup; ++i) {
    if (std::abs(x[i]) > largest) {
      largest = std::abs(x[i]);
      signed_largest = x[i];
    }
  }
  codes.fill(-32);  // of values that are all next to zero, as the reference has it
  if (largest < kLeastScale) {
    return 0.0F;
  }
  const Correlation first = correlate(x, -32.0F / signed_largest, codes);
  float scale = first.with_itself != 0.0F ? first.with_values / first.with_itself : 0.0F;
  float best = scale * first.with_values;
  for (int step = -9; step <= 9; ++step) {
    if (step == 0) {
      continue;
    }
    std::array<int, kGroup> tried{};
    const Correlation now = correlate(x, -(32.0F + 0.1F * static_cast<float>(step)) / signed_largest, tried);
    if (now.with_itself > 0.0F && now.with_values * now.with_values > best * now.with_itself) {
      codes = tried;
      scale = now.with_values / now.with_itself;
      best = scale * now.with_values;
    }
  }
  return scale;
}

void put_six_bits(const std::array<unsigned, kSuperBlock>& codes, std::byte* out) {
  for (std::size_t half = 0; half < 2; ++half) {
    for (std::size_t i = 0; i < kSmallBlock; ++i) {
      const auto code = [&](std::size_t quarter) { return codes[128 * half + kSmallBlock * quarter + i]; };
      out[64 * half + i] = byte_of((code(0) & 15U) | (code(2) & 15U) << 4U);
      out[64 * half + kSmallBlock + i] = byte_of((code(1) & 15U) | (code(3) & 15U) << 4U);
      out[128 + kSmallBlock * half + i] =
          byte_of(code(0) >> 4U | code(1) >> 4U << 2U | code(2) >> 4U << 4U | code(3) >> 4U << 6U);
    }
  }
}

}  // namespace

void encode_q4_k(const float* x, std::byte* out) {
  std::array<Group, 8> codes{};
  fit_super_block(x, {.most = 15, .first = -1.0F, .steps = 20}, out, codes);
  for (std::size_t pair = 0; pair < 4; ++pair) {
    for (std::size_t i = 0; i < kSmallBlock; ++i) {
      out[16 + kSmallBlock * pair + i] = byte_of(codes[2 * pair][i] | static_cast<unsigned>(codes[2 * pair + 1][i]) << 4U);
    }
  }
}

void encode_q5_k(const float* x, std::byte* out) {
  std::array<Group, 8> codes{};
  fit_super_block(x, {.most = 31, .first = -0.5F, .steps = 15}, out, codes);
  for (std::size_t i = 0; i < kSmallBlock; ++i) {
    unsigned high = 0;
    for (std::size_t j = 0; j < 8; ++j) {
      high |= (codes[j][i] >> 4U & 1U) << j;
    }
    out[16 + i] = byte_of(high);
    for (std::size_t pair = 0; pair < 4; ++pair) {
      out[48 + kSmallBlock * pair + i] =
          byte_of((codes[2 * pair][i] & 15U) | (static_cast<unsigned>(codes[2 * pair + 1][i]) & 15U) << 4U);
    }
  }
}

void encode_q6_k(const float* x, std::byte* out) {
  constexpr std::size_t kGroups = kSuperBlock / kGroup;
  std::array<std::array<int, kGroup>, kGroups> codes{};
  std::array<float, kGroups> scales{};
  float largest = 0.0F;
  for (std::size_t j = 0; j < kGroups; ++j) {
    scales[j] = fit_symmetric(x + kGroup * j, codes[j]);
    if (std::abs(scales[j]) > std::abs(largest)) {
      largest = scales[j];
    }
  }
  if (std::abs(largest) < kLeastScale) {
    std::memset(out, 0, 210);
    return;
  }
  const float inverse = -128.0F / largest;
  put_half(out + 208, 1.0F / inverse);
  std::array<unsigned, kSuperBlock> packed{};
  for (std::size_t j = 0; j < kGroups; ++j) {
    const auto scale = static_cast<std::int8_t>(std::min(127, nearest_code(inverse * scales[j])));
    out[192 + j] = static_cast<std::byte>(scale);
    const float step = half_at(out + 208) * static_cast<float>(scale);
    for (std::size_t i = 0; i < kGroup; ++i) {
      const int code = step != 0.0F ? std::clamp(nearest_code(x[kGroup * j + i] / step), -32, 31) : codes[j][i];
      packed[kGroup * j + i] = static_cast<unsigned>(code + 32);
    }
  }
  put_six_bits(packed, out);
}

}  // namespace lora_dist
