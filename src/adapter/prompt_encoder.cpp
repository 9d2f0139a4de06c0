// The three networks: an embedding, LSTM layers or none, linear layers.
#include "src/adapter/prompt_encoder.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <string_view>
#include <utility>

#include "kernels/common/philox.h"
#include "src/adapter/encoder_layers.h"
#include "src/adapter/normal_values.h"

namespace lora_dist {

namespace {

constexpr std::uint32_t kStreamOfEncoder = 0x454E4300U;  // plus the parameter's index: separates these counters from other uses

/// Names of the linear layers after the embedding or the LSTM.
constexpr std::array<std::array<std::string_view, 2>, 3> kMlpNames = {
    {{"prompt_encoder.mlp_head.0.weight", "prompt_encoder.mlp_head.0.bias"},
     {"prompt_encoder.mlp_head.2.weight", "prompt_encoder.mlp_head.2.bias"},
     {"prompt_encoder.mlp_head.4.weight", "prompt_encoder.mlp_head.4.bias"}}};
constexpr std::array<std::array<std::string_view, 2>, 2> kProjectionNames = {
    {{"prompt_encoder.transform.0.weight", "prompt_encoder.transform.0.bias"},
     {"prompt_encoder.transform.2.weight", "prompt_encoder.transform.2.bias"}}};
/// Of both layers, first forward, then in reverse.
constexpr std::array<std::array<std::string_view, 4>, 4> kLstmNames = {
    {{"prompt_encoder.lstm_head.weight_ih_l0", "prompt_encoder.lstm_head.weight_hh_l0", "prompt_encoder.lstm_head.bias_ih_l0",
      "prompt_encoder.lstm_head.bias_hh_l0"},
     {"prompt_encoder.lstm_head.weight_ih_l0_reverse", "prompt_encoder.lstm_head.weight_hh_l0_reverse",
      "prompt_encoder.lstm_head.bias_ih_l0_reverse", "prompt_encoder.lstm_head.bias_hh_l0_reverse"},
     {"prompt_encoder.lstm_head.weight_ih_l1", "prompt_encoder.lstm_head.weight_hh_l1", "prompt_encoder.lstm_head.bias_ih_l1",
      "prompt_encoder.lstm_head.bias_hh_l1"},
     {"prompt_encoder.lstm_head.weight_ih_l1_reverse", "prompt_encoder.lstm_head.weight_hh_l1_reverse",
      "prompt_encoder.lstm_head.bias_ih_l1_reverse", "prompt_encoder.lstm_head.bias_hh_l1_reverse"}}};
constexpr std::size_t kLstmTensors = 4;
constexpr std::size_t kDenseTensors = 2;

std::size_t lstm_parts(const EncoderShape& shape) { return shape.kind == EncoderKind::lstm ? kLstmNames.size() : 0; }
HostActivation activation_of(const EncoderShape& shape) {
  return shape.kind == EncoderKind::projection ? HostActivation::tanh : HostActivation::relu;
}

/// The widths of the rows between the linear layers, the first one's input included.
std::vector<std::int64_t> dense_widths(const EncoderShape& shape) {
  switch (shape.kind) {
    case EncoderKind::mlp:
      return {shape.input, shape.hidden, shape.hidden, shape.output};
    case EncoderKind::lstm:
      return {2 * shape.hidden, 2 * shape.hidden, shape.output};
    case EncoderKind::projection:
      break;
  }
  return {shape.input, shape.hidden, shape.output};
}

/// The encoder's tensors in a flat buffer, of parameters (const float) or gradients (float).
template <class Element>
class EncoderViews {
 public:
  EncoderViews(const PromptEncoder& encoder, std::span<Element> flat) : encoder_(encoder), flat_(flat) {}

  auto at(std::size_t i) const { return view(flat_.data() + encoder_.parameters[i].offset, encoder_.parameters[i].shape); }
  /// The first tensor of an LSTM part, or of a linear layer.
  std::size_t of_lstm(std::size_t part) const { return 1 + part * kLstmTensors; }
  std::size_t of_dense(std::size_t layer) const { return 1 + lstm_parts(encoder_.shape) * kLstmTensors + layer * kDenseTensors; }

  LstmLayer lstm(std::size_t part) const {
    const std::size_t i = of_lstm(part);
    return {at(i), at(i + 1), at(i + 2), at(i + 3), part % 2 == 1};
  }
  LstmGradients lstm_gradients(std::size_t part) const {
    const std::size_t i = of_lstm(part);
    return {at(i), at(i + 1), at(i + 2), at(i + 3)};
  }
  DenseLayer dense(std::size_t layer) const { return {at(of_dense(layer)), at(of_dense(layer) + 1)}; }
  DenseGradients dense_gradients(std::size_t layer) const { return {at(of_dense(layer)), at(of_dense(layer) + 1)}; }

 private:
  const PromptEncoder& encoder_;
  std::span<Element> flat_;
};

/// What the layers keep for backward.
struct EncoderStates {
  std::vector<HostRows> lstm_inputs;   // of each LSTM layer
  std::vector<LstmStates> directions;  // of each LSTM part
  std::vector<HostRows> dense_inputs;  // of each linear layer, after the activation before it
};

HostRows side_by_side(const HostRows& left, const HostRows& right) {
  HostRows out(left.rows, left.cols + right.cols);
  for (std::int64_t r = 0; r < out.rows; ++r) {
    std::copy_n(left.row(r), left.cols, out.row(r));
    std::copy_n(right.row(r), right.cols, out.row(r) + left.cols);
  }
  return out;
}

HostRows columns_of(const HostRows& x, std::int64_t first, std::int64_t cols) {
  HostRows out(x.rows, cols);
  for (std::int64_t r = 0; r < x.rows; ++r) {
    std::copy_n(x.row(r) + first, cols, out.row(r));
  }
  return out;
}

HostRows encoder_forward(const PromptEncoder& encoder, const EncoderViews<const float>& views, EncoderStates& states,
                         const Stream& stream) {
  const EncoderShape& shape = encoder.shape;
  HostRows x(shape.rows, shape.input);
  std::copy_n(views.at(0).as<float>(), x.values.size(), x.values.begin());
  for (std::size_t part = 0; part < lstm_parts(shape); part += 2) {
    states.directions.push_back(lstm_forward(views.lstm(part), x, stream));
    states.directions.push_back(lstm_forward(views.lstm(part + 1), x, stream));
    states.lstm_inputs.push_back(std::move(x));
    x = side_by_side(states.directions[part].hidden, states.directions[part + 1].hidden);
  }
  const std::size_t layers = dense_widths(shape).size() - 1;
  for (std::size_t layer = 0; layer < layers; ++layer) {
    HostRows y = dense_forward(views.dense(layer), x, stream);
    if (layer + 1 < layers) {
      activate(activation_of(shape), y);
    }
    states.dense_inputs.push_back(std::move(x));
    x = std::move(y);
  }
  return x;
}

}  // namespace

PromptEncoder make_prompt_encoder(const EncoderShape& shape, std::int64_t first) {
  PromptEncoder encoder{shape, {}, first, 0};
  const auto add = [&](std::string_view name, Shape of_parameter) {
    encoder.parameters.push_back({name, of_parameter, TpCut::none, first + encoder.count});
    encoder.count += of_parameter.count();
  };
  add("prompt_encoder.embedding.weight", {shape.rows, shape.input});
  for (std::size_t part = 0; part < lstm_parts(shape); ++part) {
    const std::int64_t gates = 4 * shape.hidden;
    add(kLstmNames[part][0], {gates, part < 2 ? shape.input : 2 * shape.hidden});
    add(kLstmNames[part][1], {gates, shape.hidden});
    add(kLstmNames[part][2], {gates});
    add(kLstmNames[part][3], {gates});
  }
  const std::vector<std::int64_t> widths = dense_widths(shape);
  for (std::size_t layer = 0; layer + 1 < widths.size(); ++layer) {
    const auto& names = shape.kind == EncoderKind::projection ? kProjectionNames[layer] : kMlpNames[layer];
    add(names[0], {widths[layer + 1], widths[layer]});
    add(names[1], {widths[layer + 1]});
  }
  return encoder;
}

void initialize_encoder(const PromptEncoder& encoder, std::uint64_t seed, std::span<float> params) {
  const PhiloxKey key = {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)};
  float bound = 0.0F;
  for (std::size_t p = 0; p < encoder.parameters.size(); ++p) {
    const Parameter& parameter = encoder.parameters[p];
    const std::span<float> values =
        params.subspan(static_cast<std::size_t>(parameter.offset), static_cast<std::size_t>(parameter.shape.count()));
    const std::uint32_t stream = kStreamOfEncoder + static_cast<std::uint32_t>(p);
    if (p == 0) {
      fill_normal(seed, stream, values);
      continue;
    }
    const bool of_lstm = p <= lstm_parts(encoder.shape) * kLstmTensors;
    if (of_lstm) {
      bound = 1.0F / std::sqrt(static_cast<float>(encoder.shape.hidden));
    } else if (parameter.shape.rank == 2) {  // a bias has its weight's
      bound = 1.0F / std::sqrt(static_cast<float>(parameter.shape[1]));
    }
    for (std::size_t i = 0; i < values.size(); ++i) {
      const PhiloxCounter bits =
          philox4x32({static_cast<std::uint32_t>(i / 4), static_cast<std::uint32_t>(i >> 34), 0, stream}, key);
      values[i] = (2.0F * uniform_float(bits[i % 4]) - 1.0F) * bound;
    }
  }
}

std::vector<float> encode(const PromptEncoder& encoder, std::span<const float> params, const Stream& stream) {
  EncoderStates states;
  return encoder_forward(encoder, {encoder, params}, states, stream).values;
}

void encode_backward(const PromptEncoder& encoder, std::span<const float> params, std::span<const float> drows,
                     std::span<float> grads, const Stream& stream) {
  const EncoderViews<const float> views(encoder, params);
  const EncoderViews<float> gradients(encoder, grads);
  EncoderStates states;
  encoder_forward(encoder, views, states, stream);
  HostRows dx(encoder.shape.rows, encoder.shape.output);
  std::ranges::copy(drows, dx.values.begin());
  for (std::size_t layer = states.dense_inputs.size(); layer-- > 0;) {
    const HostRows& x = states.dense_inputs[layer];
    dx = dense_backward(views.dense(layer), x, dx, gradients.dense_gradients(layer), stream);
    if (layer > 0) {
      activate_backward(activation_of(encoder.shape), x, dx);
    }
  }
  for (std::size_t part = states.directions.size(); part > 0; part -= 2) {
    const HostRows& x = states.lstm_inputs[part / 2 - 1];
    HostRows sum(x.rows, x.cols);
    for (const std::size_t direction : {part - 2, part - 1}) {
      const HostRows dy = columns_of(dx, direction % 2 == 0 ? 0 : encoder.shape.hidden, encoder.shape.hidden);
      const HostRows of_direction =
          lstm_backward(views.lstm(direction), x, states.directions[direction], dy, gradients.lstm_gradients(direction), stream);
      std::ranges::transform(sum.values, of_direction.values, sum.values.begin(), std::plus<>());
    }
    dx = std::move(sum);
  }
  std::ranges::copy(dx.values, gradients.at(0).as<float>());
}

}  // namespace lora_dist
