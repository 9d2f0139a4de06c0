// Products by the matmul operator; the rest are loops over a few rows.
#include "src/adapter/encoder_layers.h"

#include <algorithm>
#include <cmath>

#include "kernels/matmul/matmul.h"

namespace lora_dist {

namespace {

/// The sum of x's rows.
void sum_rows(const HostRows& x, TensorView sum) {
  float* to = sum.as<float>();
  std::fill_n(to, x.cols, 0.0F);
  for (std::int64_t r = 0; r < x.rows; ++r) {
    for (std::int64_t c = 0; c < x.cols; ++c) {
      to[c] += x.row(r)[c];
    }
  }
}

float sigmoid(float x) { return 1.0F / (1.0F + std::exp(-x)); }

/// The row at time t, and the one before it; -1: none.
std::int64_t row_at(const LstmLayer& layer, std::int64_t rows, std::int64_t t) { return layer.reverse ? rows - 1 - t : t; }
std::int64_t row_before(const LstmLayer& layer, std::int64_t rows, std::int64_t t) {
  return t == 0 ? -1 : row_at(layer, rows, t - 1);
}

/// One row of a matrix.
TensorView one_row(HostRows& x, std::int64_t r) { return view(x.row(r), {1, x.cols}); }
ConstTensorView one_row(const HostRows& x, std::int64_t r) { return view(x.row(r), {1, x.cols}); }

/// gates: [4 hidden], before activation, then after it. previous: null at the first time.
void lstm_cell(float* gates, const float* previous, float* cell, float* hidden, std::int64_t width) {
  for (std::int64_t k = 0; k < width; ++k) {
    float& i = gates[k];
    float& f = gates[width + k];
    float& g = gates[2 * width + k];
    float& o = gates[3 * width + k];
    i = sigmoid(i);
    f = sigmoid(f);
    g = std::tanh(g);
    o = sigmoid(o);
    cell[k] = i * g + (previous == nullptr ? 0.0F : f * previous[k]);
    hidden[k] = o * std::tanh(cell[k]);
  }
}

/// dhidden: of this row; dcell: of its cell from the row after it, then of the cell before it. dgates: before activation.
void lstm_cell_backward(const float* gates, const float* cell, const float* previous, const float* dhidden, float* dcell,
                        float* dgates, std::int64_t width) {
  for (std::int64_t k = 0; k < width; ++k) {
    const float i = gates[k];
    const float f = gates[width + k];
    const float g = gates[2 * width + k];
    const float o = gates[3 * width + k];
    const float squashed = std::tanh(cell[k]);
    const float dc = dcell[k] + dhidden[k] * o * (1.0F - squashed * squashed);
    dgates[k] = dc * g * i * (1.0F - i);
    dgates[width + k] = previous == nullptr ? 0.0F : dc * previous[k] * f * (1.0F - f);
    dgates[2 * width + k] = dc * i * (1.0F - g * g);
    dgates[3 * width + k] = dhidden[k] * squashed * o * (1.0F - o);
    dcell[k] = dc * f;
  }
}

}  // namespace

HostRows dense_forward(const DenseLayer& layer, const HostRows& x, const Stream& stream) {
  HostRows y(x.rows, layer.weight.rows());
  matmul({.a = x.whole(), .b = layer.weight, .op_b = Transpose::yes, .added = {.bias = layer.bias}, .c = y.whole()}, stream);
  return y;
}

HostRows dense_backward(const DenseLayer& layer, const HostRows& x, const HostRows& dy, const DenseGradients& gradients,
                        const Stream& stream) {
  matmul({.a = dy.whole(), .op_a = Transpose::yes, .b = x.whole(), .c = gradients.weight}, stream);
  sum_rows(dy, gradients.bias);
  HostRows dx(x.rows, x.cols);
  matmul({.a = dy.whole(), .b = layer.weight, .c = dx.whole()}, stream);
  return dx;
}

void activate(HostActivation activation, HostRows& x) {
  for (float& value : x.values) {
    value = activation == HostActivation::relu ? std::max(value, 0.0F) : std::tanh(value);
  }
}

void activate_backward(HostActivation activation, const HostRows& y, HostRows& dy) {
  for (std::size_t i = 0; i < dy.values.size(); ++i) {
    const float value = y.values[i];
    dy.values[i] *= activation == HostActivation::relu ? (value > 0.0F ? 1.0F : 0.0F) : 1.0F - value * value;
  }
}

LstmStates lstm_forward(const LstmLayer& layer, const HostRows& x, const Stream& stream) {
  const std::int64_t width = layer.hidden_weight.cols();
  LstmStates states{HostRows(x.rows, 4 * width), HostRows(x.rows, width), HostRows(x.rows, width)};
  matmul({.a = x.whole(),
          .b = layer.input_weight,
          .op_b = Transpose::yes,
          .added = {.bias = layer.input_bias},
          .c = states.gates.whole()},
         stream);
  for (std::int64_t t = 0; t < x.rows; ++t) {
    const std::int64_t row = row_at(layer, x.rows, t);
    const std::int64_t before = row_before(layer, x.rows, t);
    float* gates = states.gates.row(row);
    for (std::int64_t k = 0; k < 4 * width; ++k) {
      gates[k] += layer.hidden_bias.as<float>()[k];
    }
    if (before >= 0) {
      matmul({.a = one_row(std::as_const(states.hidden), before),
              .b = layer.hidden_weight,
              .op_b = Transpose::yes,
              .added = {.beta = 1.0F},
              .c = one_row(states.gates, row)},
             stream);
    }
    lstm_cell(gates, before >= 0 ? states.cells.row(before) : nullptr, states.cells.row(row), states.hidden.row(row), width);
  }
  return states;
}

HostRows lstm_backward(const LstmLayer& layer, const HostRows& x, const LstmStates& states, const HostRows& dy,
                       const LstmGradients& gradients, const Stream& stream) {
  const std::int64_t width = layer.hidden_weight.cols();
  HostRows dgates(x.rows, 4 * width);
  HostRows before_each(x.rows, width);  // the hidden state that each row read; zero at the first time
  std::vector<float> dcell(static_cast<std::size_t>(width));
  HostRows dhidden = dy;
  for (std::int64_t t = x.rows - 1; t >= 0; --t) {
    const std::int64_t row = row_at(layer, x.rows, t);
    const std::int64_t before = row_before(layer, x.rows, t);
    lstm_cell_backward(states.gates.row(row), states.cells.row(row), before >= 0 ? states.cells.row(before) : nullptr,
                       dhidden.row(row), dcell.data(), dgates.row(row), width);
    if (before >= 0) {
      std::copy_n(states.hidden.row(before), width, before_each.row(row));
      matmul({.a = one_row(std::as_const(dgates), row),
              .b = layer.hidden_weight,
              .added = {.beta = 1.0F},
              .c = one_row(dhidden, before)},
             stream);
    }
  }
  matmul({.a = dgates.whole(), .op_a = Transpose::yes, .b = x.whole(), .c = gradients.input_weight}, stream);
  matmul({.a = dgates.whole(), .op_a = Transpose::yes, .b = before_each.whole(), .c = gradients.hidden_weight}, stream);
  sum_rows(dgates, gradients.input_bias);
  sum_rows(dgates, gradients.hidden_bias);
  HostRows dx(x.rows, x.cols);
  matmul({.a = dgates.whole(), .b = layer.input_weight, .c = dx.whole()}, stream);
  return dx;
}

}  // namespace lora_dist
